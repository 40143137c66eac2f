import { describe, expect, test } from "bun:test";
import { StateChanges } from "../../src/cli/foreground-node.ts";
import { fakeContext, runCommand } from "./fake/context.ts";
import { FakeMesh, peer } from "./fake/mesh.ts";

describe("a node in the foreground", () => {
  test("says as JSON lines that it serves, and who is there", async () => {
    const mesh = new FakeMesh({ peers: [peer("attic"), peer("desk", { state: "self" })] });
    const { code, out } = await runCommand(fakeContext({ mesh }), "up", "--foreground", "--json");
    expect(code).toBe(0);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    ).toMatchObject([
      { event: "serving", name: "desk", pid: 42 },
      { event: "node", name: "attic", state: "up" },
    ]);
  });

  test("Ctrl-C stops it also while it starts; a second one ends the process", async () => {
    const mesh = new FakeMesh({ stays: true });
    const context = fakeContext({ mesh });
    const over = runCommand(context, "up", "--foreground");
    while (mesh.asked.length === 0) await Promise.resolve();
    context.interrupt();
    expect((await over).code).toBe(0);
    context.interrupt();
    expect(context.exits).toEqual([130]);
  });
});

test("StateChanges tells a machine again only when its state is another", () => {
  const changes = new StateChanges();
  const attic = peer("attic");
  const seen = [[attic], [attic], [{ ...attic, state: "down" as const }], [attic]].map((peers) =>
    changes.of(peers).map(({ state }) => state),
  );
  expect(seen).toEqual([["up"], [], ["down"], ["up"]]);
});
