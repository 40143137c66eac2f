import { describe, expect, test } from "bun:test";
import { fakeContext, runCommand } from "../fake/context.ts";
import { FakeMesh, peer } from "../fake/mesh.ts";

const PEERS = [
  peer("attic"),
  peer("barn", {
    state: "down",
    reason: "no route to 10.0.0.3:7433",
    latencyMs: null,
    snapshot: null,
    foundBy: "remembered",
  }),
];
const RUN = {
  id: "01jb0000000000000r",
  title: "ci",
  definition: "ci.yml",
  coordinator: "attic",
  startedAtMs: Date.UTC(2026, 0, 1, 0, 4),
  status: { execution: "running", result: "none" },
  tasks: 9,
  finished: 4,
} as const;

describe("mesh nodes", () => {
  test("is a line for each machine, with why one is missing", async () => {
    const said = await runCommand(fakeContext({ mesh: new FakeMesh({ peers: PEERS }) }), "nodes");
    expect(said.out.split("\n")).toEqual([
      "   NAME   ADDRESS        CPUS FREE    MEMORY FREE  GPUS FREE        LOAD  TASKS  LATENCY",
      "●  attic  10.0.0.2:7433      1.5/4  12 GiB/16 GiB  1/2 h100 80 GiB  61 %      3   0.4 ms",
      "○  barn   10.0.0.2:7433                                                                   no route to 10.0.0.3:7433",
      "",
    ]);
  });

  test("--wide shows roles, system, blobs, version and how it was found", async () => {
    const { out } = await runCommand(fakeContext({ mesh: new FakeMesh({ peers: PEERS }) }), "nodes", "-w");
    for (const text of ["worker,submitter", "linux/x86_64", "7 (2 GiB)", "1.2.3", "mDNS", "remembered", "ssd"])
      expect(out).toContain(text);
  });

  test("--json gives the documented fields", async () => {
    const { out } = await runCommand(fakeContext({ mesh: new FakeMesh({ peers: PEERS }) }), "nodes", "--json");
    const [attic, barn] = (JSON.parse(out) as { nodes: Record<string, unknown>[] }).nodes;
    expect(attic).toMatchObject({ name: "attic", state: "up", addresses: ["10.0.0.2:7433"], cpuPercent: 61 });
    expect(attic?.["gpus"]).toMatchObject([{ model: "h100", inUse: true }, { inUse: false }]);
    expect(barn).toMatchObject({ state: "down", reason: "no route to 10.0.0.3:7433", total: null, gpus: [] });
  });

  test("says that the machine is in no mesh", async () => {
    const said = await runCommand(fakeContext({ mesh: new FakeMesh({ membership: null }) }), "nodes");
    expect(said.error?.code).toBe("mesh.not-a-member");
  });
});

test("mesh stats adds up the machines that are up", async () => {
  const mesh = new FakeMesh({ peers: [...PEERS, peer("desk", { state: "self" })], runs: [RUN] });
  expect((await runCommand(fakeContext({ mesh }), "stats")).out.split("\n")).toEqual([
    "Machines  2 of 3 up",
    "CPUs      3 of 8 free",
    "Memory    24 GiB of 32 GiB free",
    "GPUs      2 of 4 free",
    "Tasks     6 running, of 1 run",
    "Blobs     14, 4 GiB",
    "",
  ]);
});

test("mesh top prints a line where there is no terminal, and both tables where there is one", async () => {
  const mesh = new FakeMesh({ peers: PEERS, runs: [RUN] });
  const line = await runCommand(fakeContext({ mesh }), "top", "-n", "1");
  expect(line.out).toBe(
    "Machines 1 of 2 up; CPUs 1.5 of 4 free; Memory 12 GiB of 16 GiB free; GPUs 1 of 2 free; Tasks 3 running, of 1 run; Blobs 7, 2 GiB\n",
  );
  const live = await runCommand(fakeContext({ mesh, terminal: true }), "top", "-n", "1");
  for (const text of ["attic", "01jb000000", "4/9", "1m 00s"]) expect(live.out).toContain(text);
});

test("mesh ping shows each round trip and sums them up", async () => {
  const mesh = new FakeMesh({ peers: PEERS });
  const said = await runCommand(fakeContext({ mesh }), "ping", "attic", "-c", "3");
  expect(said.out.split("\n")).toEqual([
    "attic: 0.50 ms",
    "attic: no answer",
    "attic: 2.50 ms",
    "2 of 3 answered; least 0.50 ms, median 0.50 ms, most 2.50 ms",
    "",
  ]);
  expect((await runCommand(fakeContext({ mesh }), "ping", "attic", "-c", "101")).error?.code).toBe("usage.invalid");
});

test("mesh drain and mesh revoke name the machine", async () => {
  const mesh = new FakeMesh({ peers: PEERS });
  expect((await runCommand(fakeContext({ mesh }), "drain", "attic")).out).toBe(
    "attic (22222222) takes no more tasks. 3 that run there may end.\n",
  );
  expect((await runCommand(fakeContext({ mesh }), "drain", "--off")).out).toContain("takes tasks again");
  expect((await runCommand(fakeContext({ mesh }), "revoke", "attic")).out).toStartWith("attic (22222222) is no member");
  expect(mesh.asked).toEqual([
    ["drain", "attic", true],
    ["drain", null, false],
    ["revoke", "attic"],
  ]);
});
