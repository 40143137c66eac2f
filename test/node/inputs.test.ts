import { describe, expect, test } from "bun:test";
import { FakeBackend } from "../fake/backend.ts";
import { NodeFixture, outcomesOf, taskOf } from "../fake/node-run.ts";
import { testIf } from "../support/require.ts";

const yaml = (filter: string) => `
tasks:
  - { key: files, run: files }
  - { key: user, use: files, run: user, filter: [${filter}], outputs: { artifacts: [{ key: out, path: hidden/secret }] } }`;

const writing = (hidden: string) =>
  new FakeBackend({
    files: (task) => {
      task.write("workspace/src/a", "a");
      task.write("workspace/hidden/secret", hidden);
    },
  });

describe("the filter of a task", () => {
  test("what a filter hides changes no key, and a change of what it shows does", async () => {
    await using fixture = new NodeFixture();
    const plain = (filter: string) => yaml(filter).replace(/, outputs.*\}\] \}/, "");
    await fixture.run(plain("src"), writing("1"));
    const other = await fixture.run(plain("src"), writing("2"), { cache: false });
    expect(outcomesOf(other)).toEqual({ files: "succeeded", user: "succeeded" });
    const keys = async (filter: string, hidden: string) =>
      taskOf(await fixture.run(plain(filter), writing(hidden), { cache: false }), "user").cacheKey;
    expect(await keys("src", "1")).toBe(await keys("src", "2"));
    expect(await keys("src, hidden", "1")).not.toBe(await keys("src, hidden", "2"));
  });

  testIf("whiteouts", "what a filter hides cannot be left as an artifact", async () => {
    await using fixture = new NodeFixture();
    const run = await fixture.run(yaml("src"), writing("the key does not know it"));
    expect(outcomesOf(run)).toEqual({ files: "succeeded", user: "failed" });
    expect(
      taskOf(run, "user")
        .messages.map(({ text }) => text)
        .join(),
    ).toContain("left nothing at hidden/secret");
    expect(outcomesOf(await fixture.run(yaml("src, hidden"), writing("it does"), { cache: false }))["user"]).toBe(
      "succeeded",
    );
  });
});
