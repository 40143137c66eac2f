import { describe, expect, test } from "bun:test";
import type { MeshError } from "../../../src/base/errors.ts";
import { keyOf } from "../../../src/sched/cache-key.ts";
import { makeAsk } from "../../../src/sched/ask.ts";
import { type FakeScript, KILLED } from "../../fake/backend.ts";
import { type Machine, NodeMesh, until } from "../../fake/node-mesh.ts";

const untilKilled: FakeScript = async ({ killed }) => {
  await killed;
  return KILLED;
};

const RUN = "01m8a0mxqk0jxg4mj2";

/** What a coordinator offers, as it stands on the wire; `change` spoils it. */
function offerFor(
  worker: Machine,
  change: (work: Record<string, unknown>) => void = () => undefined,
): Record<string, unknown> {
  const [base = ""] = worker.node.nodeCapacity().baseKeys;
  const shell = Bun.which("bash") === null ? "sh -e" : "bash -e -o pipefail";
  const nothing = "sha256:76be8b528d0075f7aae98d6fa57a6d3c83ae480a8469e668d7b0af968995ac71";
  const parts = { scheme: "1", script: "do it", shell, base, workspace: nothing, system: "" };
  const work: Record<string, unknown> = {
    identity: "tasks.yml#t",
    key: keyOf(parts),
    parts,
    isCached: true,
    shared: true,
    ttlMs: null,
    ask: makeAsk({ cpuMilli: 1_000, baseKey: base }),
    layers: [],
    inherited: [],
    variables: [],
    hooks: [],
    filter: null,
    keep: null,
    artifacts: [],
    runDirectory: null,
    timeoutMs: 60_000,
    graceMs: 0,
    artifactPaths: [],
    testResults: [],
    problemFiles: [],
    problemMatchers: [],
    successExitCodes: [0],
    keepsFilesystem: true,
    network: "none",
    tmpfs: false,
    limits: { memory: false, cpu: false },
  };
  change(work);
  return { run: RUN, title: "t", actor: "a", tasks: [{ key: "t", attempt: 1, work, blob: null, holders: [] }] };
}

async function offer(from: Machine, to: Machine, params: unknown): Promise<unknown> {
  return await from.peers.call(to.id, "work.offer", params, { timeoutMs: 5_000 });
}

/** The first answer to an offer. */
async function answerTo(from: Machine, to: Machine, params: unknown): Promise<Record<string, unknown>> {
  const { answers } = (await offer(from, to, params)) as { answers: Record<string, unknown>[] };
  return answers[0] ?? {};
}

const codeOf = async (promise: Promise<unknown>) =>
  await promise.then(
    () => "answered",
    (error: unknown) => (error as MeshError).code,
  );

describe("an offer", () => {
  test("is granted, begins at once, and is granted again under the same lease when it comes twice", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const there = await mesh.add("there", { scripts: { "do it": untilKilled } });
    const first = await answerTo(here, there, offerFor(there));
    expect(first["kind"]).toBe("granted");
    expect(await answerTo(here, there, offerFor(there))).toEqual(first);
    await until(() => there.backend.running === 1);
    expect(there.served?.live).toBe(1);
    here.peers.tell(there.id, "work.cancel", { run: RUN, leases: [first["lease"]], graceful: false });
    await until(() => there.backend.running === 0);
  });

  test("of a machine that may not have tasks run is refused", async () => {
    await using mesh = new NodeMesh();
    const worker = await mesh.add("only-worker", { roles: ["worker"] });
    const there = await mesh.add("there");
    for (const method of ["work.offer", "work.renew", "work.adopt"])
      expect(await codeOf(worker.peers.call(there.id, method, offerFor(there), { timeoutMs: 5_000 }))).toBe(
        "peer.refused",
      );
    expect(there.backend.started).toEqual([]);
  });

  const spoilt: readonly (readonly [string, (work: Record<string, unknown>) => void])[] = [
    [
      "a key that is not that of its parts",
      (work) => (work["parts"] = { ...(work["parts"] as object), script: "rm -rf /" }),
    ],
    ["a variable's name with =", (work) => (work["variables"] = [["A=B", "x"]])],
    ["a NUL in a value", (work) => (work["variables"] = [["A", "x\0y"]])],
    ["a negative amount", (work) => (work["ask"] = { ...makeAsk({}), cpuMilli: -1 })],
    ["an endless time", (work) => (work["timeoutMs"] = Number.POSITIVE_INFINITY)],
    ["a timeout of years", (work) => (work["timeoutMs"] = 10 ** 12)],
    ["another base than its key's", (work) => (work["ask"] = makeAsk({ cpuMilli: 1_000, baseKey: null }))],
    ["an artifact that is named like a path", (work) => (work["artifacts"] = [artifactNamed("../../etc")])],
    ["a network of its own", (work) => (work["network"] = "container:x")],
    ["a layer that is no digest", (work) => (work["layers"] = ["../../../etc"])],
    ["no work at all", (work) => Object.keys(work).forEach((name) => delete work[name])],
  ];
  for (const [what, spoil] of spoilt)
    test(`with ${what} is refused, and nothing runs`, async () => {
      await using mesh = new NodeMesh();
      const here = await mesh.add("here");
      const there = await mesh.add("there");
      expect(await answerTo(here, there, offerFor(there, spoil))).toMatchObject({
        kind: "refused",
        code: "peer.misbehaved",
      });
      expect([there.backend.started, there.served?.live]).toEqual([[], 0]);
    });

  test("whose key says other files than it would find never begins", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const there = await mesh.add("there");
    const lie = offerFor(there, (work) => {
      const parts = { ...(work["parts"] as Record<string, string>), workspace: `sha256:${"a".repeat(64)}` };
      work["parts"] = parts;
      work["key"] = keyOf(parts);
    });
    expect(await answerTo(here, there, lie)).toMatchObject({ kind: "granted" });
    const holdings = await here.peers.call(there.id, "work.renew", { run: RUN, leases: [] }, { timeoutMs: 5_000 });
    expect(holdings).toMatchObject({ held: [{ key: "t", phase: "ended" }] });
    expect(there.backend.started).toEqual([]);
  });

  test("of another isolation, base or shell than this machine has is refused with the reason", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const there = await mesh.add("there");
    const withParts = (change: Record<string, string>) =>
      offerFor(there, (work) => {
        const parts = { ...(work["parts"] as Record<string, string>), ...change };
        work["parts"] = parts;
        work["key"] = keyOf(parts);
        work["ask"] = makeAsk({ cpuMilli: 1_000, baseKey: parts["base"] ?? null });
      });
    const [base = ""] = there.node.nodeCapacity().baseKeys;
    expect(await answerTo(here, there, withParts({ base: `process:${base}` }))).toMatchObject({
      kind: "refused",
    });
    expect(await answerTo(here, there, withParts({ base: "host:other" }))).toMatchObject({
      code: "capacity.none-fits",
    });
    expect(await answerTo(here, there, withParts({ shell: "fish" }))).toMatchObject({ code: "peer.refused" });
    expect(await answerTo(here, there, withParts({ scheme: "99" }))).toMatchObject({ code: "peer.version" });
  });

  test("that is no offer fails the call", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const there = await mesh.add("there");
    for (const params of [null, [], {}, { ...offerFor(there), run: "../x" }, { ...offerFor(there), tasks: "all" }])
      expect(await codeOf(offer(here, there, params))).toBe("peer.misbehaved");
  });

  test("is refused while the machine drains", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const there = await mesh.add("there");
    there.served?.drain(true);
    expect(await answerTo(here, there, offerFor(there))).toMatchObject({ kind: "refused", code: "peer.refused" });
  });
});

describe("a lease", () => {
  test("cannot be cancelled or taken over by another machine than its own", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const thief = await mesh.add("thief");
    const there = await mesh.add("there", { scripts: { "do it": untilKilled } });
    const { lease } = await answerTo(here, there, offerFor(there));
    await until(() => there.backend.running === 1);
    thief.peers.tell(there.id, "work.cancel", { run: RUN, leases: [lease], graceful: false });
    thief.peers.tell(there.id, "work.acknowledge", { run: RUN, leases: [lease] });
    expect(await thief.peers.call(there.id, "work.renew", { run: RUN, leases: [lease] }, { timeoutMs: 5_000 })).toEqual(
      {
        held: [],
        unknown: [lease],
      },
    );
    expect(there.backend.running).toBe(1);
    here.peers.tell(there.id, "work.cancel", { run: RUN, leases: [lease], graceful: false });
    await until(() => there.backend.running === 0);
  });

  test("keeps its end until that is acknowledged", async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here");
    const there = await mesh.add("there");
    const { lease } = await answerTo(here, there, offerFor(there));
    await until(() => there.served?.live === 0);
    const renew = async () =>
      await here.peers.call(there.id, "work.renew", { run: RUN, leases: [] }, { timeoutMs: 5_000 });
    expect(await renew()).toMatchObject({ held: [{ lease, phase: "ended" }] });
    here.peers.tell(there.id, "work.acknowledge", { run: RUN, leases: [lease] });
    await Promise.resolve();
    expect(await renew()).toEqual({ held: [], unknown: [] });
  });
});

function artifactNamed(name: string): unknown {
  const digest = `sha256:${"b".repeat(64)}`;
  return { artifact: { key: "k", digest, kind: "file", name, sizeBytes: 1, mode: 0o644 }, filter: null };
}
