import { describe, expect, test } from "bun:test";
import { NodeMesh, placesOf } from "../../fake/node-mesh.ts";
import { outcomesOf, taskOf } from "../../fake/node-run.ts";

const HOST = "base: { image: host }\n";

describe("a run over two machines", () => {
  test("a task runs on another machine, and the next one finds its files here", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", {
      scripts: {
        use: ({ execution }) => void (layers = execution.layers.length),
      },
    });
    const there = await mesh.add("there", {
      scripts: {
        make: (task) => (task.write("workspace/a", "content"), task.write("io/values/x", "1"), task.print("hello\n")),
      },
    });
    let layers = 0;
    const watched = mesh.start(
      here,
      `${HOST}tasks:
  - { key: make, run: make, agent: { node: there } }
  - { key: use, run: use, use: make, agent: { node: here } }`,
    );
    const outcome = await watched.outcome;
    if (outcome.kind !== "finished") throw new Error("invalid");
    expect(outcomesOf(outcome.summary)).toEqual({ make: "succeeded", use: "succeeded" });
    expect(placesOf(outcome.summary)).toEqual({ make: "there", use: "here" });
    expect(layers).toBe(1);
    expect(watched.output()).toBe("hello\n");
    expect(taskOf(outcome.summary, "make").outputs.values).toEqual({ x: "1" });
    expect([here.backend.started, there.backend.started]).toEqual([["use"], ["make"]]);
  });
});
