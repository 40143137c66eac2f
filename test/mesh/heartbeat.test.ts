import { describe, expect, test } from "bun:test";
import { peerIdOf } from "../../src/base/ids.ts";
import { type Heartbeat, isUrgent, readHeartbeat } from "../../src/mesh/heartbeat.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

const PEER = peerIdOf(new Uint8Array(32).fill(9));
const AMOUNTS = { cpuMilli: 4_000, memoryBytes: 2 ** 33, diskBytes: 2 ** 40 };
const HEARTBEAT: Heartbeat = {
  instance: "0123456789abcdef",
  port: 7433,
  version: "0.1.0",
  rosterDigest: "ab".repeat(32),
  own: [{ host: "10.0.0.1", port: 7433 }],
  told: [{ peer: PEER, addresses: [{ host: "fd77::b", port: 7433 }] }],
  snapshot: {
    capacity: {
      name: "box",
      os: "linux",
      arch: "x64",
      labels: ["fast"],
      baseKeys: [],
      total: AMOUNTS,
      free: { ...AMOUNTS, cpuMilli: 0 },
      gpus: [{ index: 0, memoryBytes: 80, freeMemoryBytes: 8, inUse: true }],
    },
    gpuModels: [{ index: 0, model: "H100", memoryBytes: 80 }],
    cpuPercent: 12,
    runningTasks: 3,
    blobs: { count: 1, bytes: 2 },
    draining: false,
    speedPercent: 100,
  },
};

/** A copy in which the value at the path is another one. */
function changed(path: string, value: unknown): unknown {
  const copy: Record<string, unknown> = structuredClone({ ...HEARTBEAT });
  let at: Record<string, unknown> = copy;
  const keys = path.split(".");
  for (const key of keys.slice(0, -1)) at = at[key] as Record<string, unknown>;
  at[keys.at(-1) ?? ""] = value;
  return copy;
}

/** Every path to a value that is no list or record itself. */
function leavesOf(value: unknown, path = ""): readonly string[] {
  if (typeof value !== "object" || value === null) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, path === "" ? key : `${path}.${key}`));
}

test("isUrgent(): what others would go by wrongly until the next heartbeat", () => {
  const { snapshot } = HEARTBEAT;
  if (snapshot === null) throw new Error("It has a snapshot");
  const { capacity } = snapshot;
  const withFree = (cpuMilli: number) => ({
    ...snapshot,
    capacity: { ...capacity, free: { ...capacity.free, cpuMilli } },
  });
  const withGpu = (inUse: boolean) => ({
    ...snapshot,
    capacity: { ...capacity, gpus: [{ index: 0, memoryBytes: 1, freeMemoryBytes: 1, inUse }] },
  });
  expect(isUrgent(withFree(0), withFree(1_000))).toBe(true);
  expect(isUrgent(withFree(1_000), withFree(0))).toBe(false);
  expect(isUrgent(snapshot, { ...snapshot, draining: !snapshot.draining })).toBe(true);
  expect(isUrgent(withGpu(true), withGpu(false))).toBe(true);
  expect(isUrgent(withGpu(false), withGpu(true))).toBe(false);
  expect(isUrgent(snapshot, { ...snapshot, cpuPercent: 99 })).toBe(false);
});

describe("readHeartbeat()", () => {
  test("reads a heartbeat, and passes over fields of later versions", () => {
    expect(readHeartbeat(HEARTBEAT)).toEqual(HEARTBEAT);
    expect(readHeartbeat({ ...HEARTBEAT, mood: "good" })).toEqual(HEARTBEAT);
    expect(readHeartbeat({ ...HEARTBEAT, snapshot: null, port: null })).toEqual({
      ...HEARTBEAT,
      snapshot: null,
      port: null,
    });
  });

  test("refuses a value of another kind at any place", () => {
    const strange = [undefined, { a: 1 }, [1], -1, 1.5, Number.NaN, 2 ** 53, "x".repeat(300), Symbol.iterator];
    const taken = leavesOf(HEARTBEAT).flatMap((path) =>
      strange.flatMap((value) => (readHeartbeat(changed(path, value)) === null ? [] : [`${path}: ${String(value)}`])),
    );
    expect(taken).toEqual([]);
  });

  test("refuses lists that are too long", () => {
    const many = (length: number, item: unknown) => Array.from({ length }, () => item);
    expect(readHeartbeat(changed("own", many(17, HEARTBEAT.own[0])))).toBeNull();
    expect(readHeartbeat(changed("told", many(17, HEARTBEAT.told[0])))).toBeNull();
    expect(readHeartbeat(changed("snapshot.capacity.labels", many(257, "x")))).toBeNull();
  });

  test("holds what is free to what there is", () => {
    const read = readHeartbeat(changed("snapshot.capacity.free.cpuMilli", 9_000));
    expect(read?.snapshot?.capacity.free.cpuMilli).toBe(4_000);
  });

  test("never throws", () => {
    const random = new SeededRandom(11);
    const values = [null, undefined, 0, "", [], {}, true, Number.NaN, 10n, new Map(), () => 1];
    for (const path of leavesOf(HEARTBEAT)) readHeartbeat(changed(path, values[random.below(values.length)]));
    for (const value of values) expect(readHeartbeat(value)).toBeNull();
  });
});
