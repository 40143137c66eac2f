// What a machine says on every connection each second: that it lives, what it has free, where it and others listen, and which
// roster it holds. Read strictly: it comes from another machine.

import { type PeerId, parsePeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import type { Amounts, Gpu, NodeCapacity } from "../sched/fit.ts";
import { isPort, readAddress } from "./address.ts";
import type { Address, NodeSnapshot } from "./peer-view.ts";

export interface Heartbeat {
  /** Which process of the machine speaks: 16 hex digits, new with every start. */
  readonly instance: string;
  /** Where it listens; null when it does not. */
  readonly port: number | null;
  readonly version: string;
  /** Of its roster: two machines with the same one hold the same entries. */
  readonly rosterDigest: string;
  /** Its own addresses. */
  readonly own: readonly Address[];
  /** Where other members listen: some, others each time. */
  readonly told: readonly { readonly peer: PeerId; readonly addresses: readonly Address[] }[];
  readonly snapshot: NodeSnapshot | null;
}

/** Whether the others should hear of it before the next heartbeat is due: they would send tasks here in vain, or not at all. */
export function isUrgent(before: NodeSnapshot, now: NodeSnapshot): boolean {
  const [was, is] = [before.capacity, now.capacity];
  const gpusInUse = ({ gpus }: NodeCapacity) => gpus.filter(({ inUse }) => inUse).length;
  return before.draining !== now.draining || is.free.cpuMilli > was.free.cpuMilli || gpusInUse(is) < gpusInUse(was);
}

export const INSTANCE = /^[0-9a-f]{16}$/;
const ROSTER_DIGEST = /^[0-9a-f]{0,64}$/;
/** Amounts beyond this are no machine's: they would only break sums. */
const MOST = 2 ** 50;

class Malformed extends Error {}

/** Reads a heartbeat; null when any part of it is not what it should be. Unknown fields are left out: newer versions may add some. */
export function readHeartbeat(value: unknown): Heartbeat | null {
  try {
    const fields = record(value);
    const port = fields["port"];
    return {
      instance: matching(fields["instance"], INSTANCE),
      port: port === null ? null : portNumber(port),
      version: text(fields["version"]),
      rosterDigest: matching(fields["rosterDigest"], ROSTER_DIGEST),
      own: addresses(fields["own"]),
      told: list(fields["told"], LIMITS.toldPeers).map((entry) => {
        const told = record(entry);
        return { peer: peerId(told["peer"]), addresses: addresses(told["addresses"]) };
      }),
      snapshot: fields["snapshot"] === null ? null : snapshot(record(fields["snapshot"])),
    };
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

function snapshot(fields: Readonly<Record<string, unknown>>): NodeSnapshot {
  const blobs = record(fields["blobs"]);
  return {
    capacity: capacity(record(fields["capacity"])),
    gpuModels: list(fields["gpuModels"], LIMITS.snapshotItems).map((entry) => {
      const gpu = record(entry);
      return { index: amount(gpu["index"]), model: text(gpu["model"]), memoryBytes: amount(gpu["memoryBytes"]) };
    }),
    cpuPercent: bounded(fields["cpuPercent"], 100),
    runningTasks: amount(fields["runningTasks"]),
    blobs: { count: amount(blobs["count"]), bytes: amount(blobs["bytes"]) },
    draining: flag(fields["draining"]),
    speedPercent: Math.max(1, bounded(fields["speedPercent"], 100_000)),
  };
}

function capacity(fields: Readonly<Record<string, unknown>>): NodeCapacity {
  const total = amounts(record(fields["total"]));
  const free = amounts(record(fields["free"]));
  return {
    name: text(fields["name"]),
    os: text(fields["os"]),
    arch: text(fields["arch"]),
    labels: list(fields["labels"], LIMITS.snapshotItems).map(text),
    baseKeys: list(fields["baseKeys"], LIMITS.snapshotItems).map(text),
    total,
    // More free than there is: it says nonsense, but what it says of the total still bounds it.
    free: {
      cpuMilli: Math.min(free.cpuMilli, total.cpuMilli),
      memoryBytes: Math.min(free.memoryBytes, total.memoryBytes),
      diskBytes: Math.min(free.diskBytes, total.diskBytes),
    },
    gpus: list(fields["gpus"], LIMITS.snapshotItems).map((entry): Gpu => {
      const gpu = record(entry);
      const memoryBytes = amount(gpu["memoryBytes"]);
      return {
        index: amount(gpu["index"]),
        memoryBytes,
        freeMemoryBytes: Math.min(amount(gpu["freeMemoryBytes"]), memoryBytes),
        inUse: flag(gpu["inUse"]),
      };
    }),
  };
}

function amounts(fields: Readonly<Record<string, unknown>>): Amounts {
  return {
    cpuMilli: amount(fields["cpuMilli"]),
    memoryBytes: amount(fields["memoryBytes"]),
    diskBytes: amount(fields["diskBytes"]),
  };
}

function addresses(value: unknown): readonly Address[] {
  return list(value, LIMITS.peerAddresses).map((entry) => readAddress(entry) ?? malformed());
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return malformed();
  return value as Readonly<Record<string, unknown>>;
}

function list(value: unknown, most: number): readonly unknown[] {
  return Array.isArray(value) && value.length <= most ? value : malformed();
}

function amount(value: unknown): number {
  return bounded(value, MOST);
}

function bounded(value: unknown, most: number): number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most ? value : malformed();
}

function portNumber(value: unknown): number {
  return typeof value === "number" && isPort(value) ? value : malformed();
}

function flag(value: unknown): boolean {
  return typeof value === "boolean" ? value : malformed();
}

function text(value: unknown): string {
  return typeof value === "string" && value.length <= LIMITS.snapshotTextChars ? value : malformed();
}

function matching(value: unknown, pattern: RegExp): string {
  return typeof value === "string" && pattern.test(value) ? value : malformed();
}

function peerId(value: unknown): PeerId {
  return (typeof value === "string" ? parsePeerId(value) : null) ?? malformed();
}

function malformed(): never {
  throw new Malformed();
}
