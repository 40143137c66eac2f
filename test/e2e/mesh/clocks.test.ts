// A mesh whose machines do not agree on what time it is: one is right, one is six hours ahead, one is six hours behind.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { describeIf } from "../../support/require.ts";
import { leftOn, startRun } from "./faults.ts";
import { type Machine, type Machines, makeMesh, until } from "./machines.ts";

setDefaultTimeout(60_000);

const HOUR_MS = 3_600_000;
const [RIGHT, AHEAD, BEHIND] = [0, 1, 2];

describeIf(["binary", "lan", "bash", "faketime"], "machines whose clocks are hours off", () => {
  let machines: Machines;

  beforeAll(async () => {
    machines = await makeMesh({ hosts: 3, clocks: ["+0h", "+6h", "-6h"], flags: [["--cpus", "1"]] });
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });

  /** By how many hours a machine's node is off, by what it says of when it heard of the others, all of whom it sees. */
  async function hoursOff(machine: Machine): Promise<number> {
    const { nodes } = await machine.json<{ nodes: { state: string; lastSeenAt: string | null }[] }>("nodes");
    const seen = nodes.filter(({ state }) => state === "up").map(({ lastSeenAt }) => Date.parse(lastSeenAt ?? ""));
    expect(seen).toHaveLength(2);
    return Math.round((Math.max(...seen) - Date.now()) / HOUR_MS) || 0;
  }

  test("think so indeed, and find, join and see each other all the same", async () => {
    expect(await Promise.all(machines.all.map(hoursOff))).toEqual([0, 6, -6]);
  });

  for (const at of [RIGHT, AHEAD, BEHIND])
    test(`a run from machine ${at + 1} spreads over all, and nothing takes hours`, async () => {
      const keys = Array.from({ length: 9 }, (_, index) => `t${index}`);
      const tasks = keys.map(
        (key) => `  - { key: ${key}, run: "sleep 0.3; echo ${key} ${at} > out", agent: { cpus: 1 } }`,
      );
      const { run, exitCode } = await machines
        .at(at)
        .run(`tasks:\n${tasks.join("\n")}\n  - { key: all, run: cat out, use: [${keys.join(", ")}] }\n`);
      expect(exitCode).toBe(0);
      expect(new Set(run.tasks.map(({ node }) => node)).size).toBe(3);
      for (const { durationMs } of run.tasks) {
        expect(durationMs ?? -1).toBeGreaterThanOrEqual(0);
        expect(durationMs ?? -1).toBeLessThan(20_000);
      }
    });

  test("a result keeps as long as it should, wherever it was made", async () => {
    const definition = (ttl: string) => `tasks:\n  - { key: old, run: "echo ${ttl}", cache: { ttl: ${ttl} } }\n`;
    for (const [made, asked] of [
      [AHEAD, BEHIND],
      [BEHIND, AHEAD],
    ] as const) {
      const name = machines.at(made).name;
      const text = definition(made === AHEAD ? "1h" : "2h");
      expect((await machines.at(made).run(text, "--node", name)).run.tasks[0]?.status.finished).toBe("executed");
      expect((await machines.at(asked).run(text)).run.tasks[0]?.status.finished).toBe("cacheHit");
    }
  });

  test("what was made six hours ahead is fetched and used six hours behind, and the other way round", async () => {
    for (const [made, used] of [
      [AHEAD, BEHIND],
      [BEHIND, AHEAD],
    ] as const) {
      const { run } = await machines.at(used).run(`tasks:
  - { key: make, agent: { node: ${machines.at(made).name} }, run: 'head -c 3m /dev/urandom > ${made}; sha256sum * > "$MESH_VALUES/sum"' }
  - { key: use, use: make, agent: { node: ${machines.at(used).name} }, run: 'sha256sum * > "$MESH_VALUES/sum"' }
`);
      expect(run.tasks.map(({ node }) => node)).toEqual([machines.at(made).name, machines.at(used).name]);
      const [before, after] = run.tasks.map(({ outputs }) => outputs.values["sum"]);
      expect(before).toMatch(/^[0-9a-f]{64} /);
      expect(after).toBe(before);
    }
  });

  test("a run goes on when clocks are set in the middle of it: a worker's far back, its coordinator's far ahead", async () => {
    const set = async (at: number, hours: number) => {
      machines.at(at).setClock(`${hours < 0 ? "" : "+"}${hours}h`);
      await until("it goes by that", async () => (await hoursOff(machines.at(at))) === hours);
    };
    const keys = Array.from({ length: 12 }, (_, index) => `t${index}`);
    const tasks = keys.map((key) => `  - { key: ${key}, run: "sleep 0.5; echo ${key} set", agent: { cpus: 1 } }`);
    const started = await startRun(machines.at(RIGHT), `tasks:\n${tasks.join("\n")}\n`);
    await started.placed("t0");
    await Promise.all([set(AHEAD, -9), set(RIGHT, 9)]);
    const { run, twice } = await started.over;
    expect(run.status).toEqual({ execution: "finished", result: "succeeded" });
    expect(twice).toEqual([]);
    for (const { durationMs } of run.tasks) {
      expect(durationMs ?? -1).toBeGreaterThanOrEqual(0);
      expect(durationMs ?? -1).toBeLessThan(20_000);
    }
    await Promise.all([set(AHEAD, 6), set(RIGHT, 0)]);
  });

  test("who is thrown out is out at once, also where that lies in the future", async () => {
    const { nodes } = await machines.at(RIGHT).json<{ nodes: { name: string }[] }>("nodes");
    expect(nodes).toHaveLength(3);
    const [ahead, behind] = [machines.at(AHEAD), machines.at(BEHIND)];
    await machines.at(RIGHT).mesh("revoke", behind.name);
    const started = performance.now();
    await until("it is out everywhere", async () => {
      const seen = await Promise.all([machines.at(RIGHT).sees("up"), ahead.sees("up")]);
      return seen.every((names) => !names.includes(behind.name));
    });
    expect(performance.now() - started).toBeLessThan(5_000);
    const { run } = await ahead.run("tasks:\n  - { key: a, run: hostname }\n");
    expect(run.status.result).toBe("succeeded");
    for (const machine of machines.all) expect(await leftOn(machine)).toEqual([]);
  });
});
