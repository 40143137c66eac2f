import { describe, expect, test } from "bun:test";
import type { TaskResult } from "../../../src/store/result.ts";
import { MeshClaims } from "../../../src/node/remote/mesh-claims.ts";
import { type Machine, NodeMesh, summaryOf } from "../../fake/node-mesh.ts";
import { outcomesOf } from "../../fake/node-run.ts";

const YAML = "base: { image: host }\ntasks:\n  - { key: make, run: make }";

/** What a machine that has made it would say of the result of a key. */
type Lie = (honest: { found: { key: string; ageMs: number; parcel: Parcel }[]; isCut: boolean }) => unknown;

interface Parcel {
  json: string | null;
  blob: string | null;
  trees: [string, Uint8Array][];
}

/** A machine `here`, and one that has the result and answers for it by lies. */
async function withLiar(mesh: NodeMesh, lie: Lie): Promise<{ here: Machine; asked: () => number }> {
  const honest = await mesh.add("honest", {
    scripts: { make: (task) => task.write("workspace/a", "a") },
    serves: false,
  });
  await mesh.run(honest, YAML);
  const here = await mesh.add("here", { scripts: { make: (task) => task.write("workspace/a", "a") } });
  const liar = mesh.hub.add("liar");
  const claims = new MeshClaims(liar);
  mesh.defer(() => claims[Symbol.dispose]());
  let asked = 0;
  liar.onCall("result.find", async (params) => {
    asked++;
    const answer = await liar.call(honest.id, "result.find", params, { timeoutMs: 5_000 });
    return lie(answer as Parameters<Lie>[0]);
  });
  // the honest one must not be asked itself
  mesh.hub.cut(here.id, honest.id);
  return { here, asked: () => asked };
}

function changed(parcel: Parcel, change: (result: Record<string, unknown>) => void): Parcel {
  const result = JSON.parse(parcel.json ?? "null") as Record<string, unknown>;
  change(result);
  return { ...parcel, json: JSON.stringify(result) };
}

const lies: readonly (readonly [string, Lie])[] = [
  ["no answer at all", () => null],
  ["no list", () => ({ found: {}, isCut: false })],
  [
    "no result",
    ({ found }) => ({
      found: found.map((each) => ({ ...each, parcel: { ...each.parcel, json: "{}" } })),
      isCut: false,
    }),
  ],
  [
    "no JSON",
    ({ found }) => ({ found: found.map((each) => ({ ...each, parcel: { ...each.parcel, json: "{" } })), isCut: false }),
  ],
  [
    "the result of another key",
    (answer) => withResult(answer, (result) => (result["key"] = `sha256:${"a".repeat(64)}`)),
  ],
  [
    "an answer that was not asked for",
    ({ found }) => ({ found: found.map((each) => ({ ...each, key: `sha256:${"b".repeat(64)}` })), isCut: false }),
  ],
  [
    "a layer whose parts are not those of its tree",
    (answer) =>
      withResult(
        answer,
        (result) => ((result["layer"] as Record<string, unknown>)["system"] = `sha256:${"c".repeat(64)}`),
      ),
  ],
  [
    "a tree that is not the layer's",
    ({ found }) => ({
      found: found.map((each) => ({
        ...each,
        parcel: { ...each.parcel, trees: each.parcel.trees.map(([digest]) => [digest, new Uint8Array(9)]) },
      })),
      isCut: false,
    }),
  ],
  [
    "a variable's name with =",
    (answer) => withResult(answer, (result) => (result["env"] = [{ name: "A=B", value: "", cacheKey: "included" }])),
  ],
  ["a task that names a file", (answer) => withResult(answer, (result) => (result["task"] = "../x"))],
  [
    "an artifact that is named like a path",
    (answer) => withResult(answer, (result) => (result["artifacts"] = [{ ...ARTIFACT, name: "../x" }])),
  ],
];

const ARTIFACT = { key: "k", digest: `sha256:${"d".repeat(64)}`, kind: "file", name: "n", sizeBytes: 1, mode: 0o644 };

function withResult(answer: Parameters<Lie>[0], change: (result: Record<string, unknown>) => void): unknown {
  return { ...answer, found: answer.found.map((each) => ({ ...each, parcel: changed(each.parcel, change) })) };
}

describe("results that other machines tell of", () => {
  test("are hits when all of it holds", async () => {
    await using mesh = new NodeMesh();
    const { here } = await withLiar(mesh, (answer) => answer);
    expect(outcomesOf(await mesh.run(here, YAML))).toEqual({ make: "cacheHit" });
    expect(here.backend.started).toEqual([]);
  });

  for (const [what, lie] of lies)
    test(`are refused when they are ${what}: the task runs, and that machine is not asked again`, async () => {
      await using mesh = new NodeMesh();
      const { here, asked } = await withLiar(mesh, lie);
      const watched = mesh.start(here, `${YAML}\n  - { key: next, run: next, use: make }`);
      expect(outcomesOf(summaryOf(await watched.outcome))).toEqual({ make: "succeeded", next: "succeeded" });
      expect(watched.notices.join()).toContain("liar is not asked for results any more");
      expect(asked()).toBe(1);
      const [made] = here.node.store.results.list();
      expect(
        (made === undefined
          ? null
          : (here.node.store.results.get(made.key, Date.now())?.result satisfies TaskResult | undefined)
        )?.node,
      ).toBe("here");
    });
});
