import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import type { PeerView } from "../../../src/mesh/peer-view.ts";
import { answersOf } from "../../../src/sched/explain.ts";
import { makeAsk } from "../../../src/sched/ask.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { FakeArchive } from "../fake/archive.ts";
import { fakeContext, runCommand, type Said } from "../fake/context.ts";
import { FakeMesh, peer } from "../fake/mesh.ts";
import { STATUS, runJson, taskJson } from "../fake/run-json.ts";

const DEFINITION = "tasks:\n  - key: a\n    agent: { cpus: 2, labels: [ssd] }\n    run: echo hi\n";

const snapshot = peer("any").snapshot;
const WITHOUT_LABELS = snapshot === null ? null : { ...snapshot, capacity: { ...snapshot.capacity, labels: [] } };

/** All kinds of machines, of which those that have the label are missing. */
const PEERS: readonly PeerView[] = [
  peer("desk", { state: "self", snapshot: WITHOUT_LABELS }),
  peer("attic", { state: "down", reason: "silent for 4.2 s" }),
  peer("cellar", { snapshot: snapshot === null ? null : { ...snapshot, draining: true } }),
  peer("guest", { roles: ["submitter"] }),
  peer("late", { snapshot: null }),
  peer("thief", { state: "revoked" }),
];

async function explainFile(mesh: FakeMesh): Promise<Said> {
  using folder = temporaryFolder();
  writeFileSync(folder.join("tasks.yml"), DEFINITION);
  return await runCommand(fakeContext({ mesh }), "explain", folder.join("tasks.yml"));
}

describe("mesh explain FILE", () => {
  test("names every machine of the mesh with why it does not take a task", async () => {
    const { code, out } = await explainFile(new FakeMesh({ running: true, peers: PEERS }));
    expect(code).toBe(3);
    expect(out.split("\n").slice(out.split("\n").indexOf("✗ a fits no machine"))).toEqual([
      "✗ a fits no machine",
      "    attic: would fit, but is down: silent for 4.2 s",
      "    cellar: would fit, but takes no more tasks (`mesh drain --off` ends that)",
      "    desk: lacks the label ssd and asks for 2 CPU, has 1.5 free",
      "    guest: would fit, but takes no tasks of others: it only submits",
      "    late: has not said yet what it has",
      "",
    ]);
  });

  test("finds nothing amiss when one machine that is there would fit once it is idle", async () => {
    const { code, out } = await explainFile(new FakeMesh({ running: true, peers: [...PEERS, peer("shed")] }));
    expect([code, out.includes("fits no machine")]).toEqual([0, false]);
  });

  test("looks at this machine alone where no node runs", async () => {
    const { code, out } = await explainFile(new FakeMesh({ peers: PEERS }));
    expect(code).toBe(3);
    expect(out).toEndWith("✗ a fits no machine\n    here: lacks the label ssd\n");
  });
});

test("mesh explain TASK asks all machines, and says of each why it does not take the task", async () => {
  const archive = new FakeArchive([runJson([taskJson("a", STATUS.succeeded)])]);
  const context = () => fakeContext({ archive, mesh: new FakeMesh({ running: true, peers: PEERS }) });
  await runCommand(context(), "explain", "a");
  expect(archive.candidates.map(({ node }) => node)).toEqual(["desk", "attic", "cellar", "guest", "late"]);
  archive.explanation = {
    key: "a",
    status: STATUS.succeeded,
    because: { kind: "queued", ready: 1, fitsNow: false, fitsEver: false },
    nodes: answersOf(makeAsk({ labels: ["ssd"] }), archive.candidates),
  };
  const { out } = await runCommand(context(), "explain", "a");
  expect(out.split("\n").slice(0, 4)).toEqual([
    "a: no machine fits",
    "  attic: would fit, but is down: silent for 4.2 s",
    "  cellar: would fit, but takes no more tasks (`mesh drain --off` ends that)",
    "  desk: lacks the label ssd",
  ]);
});
