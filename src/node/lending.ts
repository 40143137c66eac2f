// What of this machine is lent to the mesh: less than it has, labels, and GPUs that are only said to be there. Kept beside the
// identity, so that the node lends the same when it starts again. It never takes capacity: the ledger does.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, MeshError } from "../base/errors.ts";
import { writeTextAtomically } from "../base/io/text-files.ts";
import { parseBytes, parseCpus } from "../base/units.ts";
import type { NodeTotals } from "../sched/ledger.ts";
import type { MachineCapacity } from "./capacity.ts";
import { type GpuDevice, modelLabels } from "./gpus.ts";
import { meshFolder } from "./socket-path.ts";

export interface Lending {
  /** Thousandths of a CPU; null for all. */
  readonly cpuMilli: number | null;
  /** null for all that is not kept in reserve. */
  readonly memoryBytes: number | null;
  /** What was said with `--gpus`; null for those that the drivers show. */
  readonly gpus: string | null;
  /** Sorted and unique. */
  readonly labels: readonly string[];
  /** Takes no tasks. */
  readonly draining: boolean;
}

export const LEND_ALL: Lending = { cpuMilli: null, memoryBytes: null, gpus: null, labels: [], draining: false };

/** What the command line said, as text; null where it said nothing. */
export interface LendingWish {
  readonly cpus: string | null;
  readonly memory: string | null;
  readonly gpus: string | null;
  /** Comma-separated. */
  readonly labels: string | null;
}

const LABEL = /^[A-Za-z0-9][A-Za-z0-9_.:/=-]{0,62}$/;
const MOST_GPUS = 64;

/** Puts a wish over what was lent before. Throws `usage.invalid`. */
export function applyWish(before: Lending, wish: LendingWish): Lending {
  const cpuMilli = wish.cpus === null ? before.cpuMilli : parseCpus(wish.cpus);
  if (wish.cpus !== null && cpuMilli === null) throw unreadable("--cpus", wish.cpus, "a number of CPUs: 4, 0.5");
  const memoryBytes = wish.memory === null ? before.memoryBytes : parseBytes(wish.memory);
  if (wish.memory !== null && memoryBytes === null) throw unreadable("--memory", wish.memory, "a size: 16gb");
  if (wish.gpus !== null) parseGpuSpec(wish.gpus);
  const labels = wish.labels === null ? before.labels : parseLabels(wish.labels);
  return { ...before, cpuMilli, memoryBytes, gpus: wish.gpus ?? before.gpus, labels };
}

/** "none"; a number of those that are there; or devices to simulate: "2xh100:80gb,a100:40gb". Throws `usage.invalid`. */
export function parseGpuSpec(spec: string): GpuSpec {
  const text = spec.trim().toLowerCase();
  if (text === "none" || text === "0") return { kind: "first", count: 0 };
  if (/^\d{1,2}$/.test(text)) return { kind: "first", count: Number(text) };
  const devices: GpuDevice[] = [];
  for (const part of text.split(",")) {
    const match = /^(?:(\d{1,2})x)?([a-z][a-z0-9 _-]{0,40}):([0-9.]+ ?[a-z]*)$/.exec(part.trim());
    const memoryBytes = parseBytes(match?.[3] ?? "");
    if (match === null || memoryBytes === null || memoryBytes === 0)
      throw unreadable("--gpus", spec, "none, a number, or devices to simulate: 2xh100:80gb,a100:40gb");
    for (let count = Number(match[1] ?? "1"); count > 0; count--) {
      const index = devices.length;
      devices.push({ index, uuid: `GPU-simulated-${index}`, model: match[2] ?? "", memoryBytes, kind: "simulated" });
    }
  }
  if (devices.length > MOST_GPUS) throw unreadable("--gpus", spec, `at most ${MOST_GPUS} devices`);
  return { kind: "simulated", devices };
}

export type GpuSpec =
  | { readonly kind: "first"; readonly count: number }
  | { readonly kind: "simulated"; readonly devices: readonly GpuDevice[] };

/** The GPUs that are lent. `find` asks the drivers. */
export function lentGpus(lending: Lending, find: () => readonly GpuDevice[]): readonly GpuDevice[] {
  if (lending.gpus === null) return find();
  const spec = parseGpuSpec(lending.gpus);
  return spec.kind === "simulated" ? spec.devices : spec.count === 0 ? [] : find().slice(0, spec.count);
}

/** What the ledger starts from: the machine, less what is not lent. */
export function lentTotals(machine: MachineCapacity, lending: Lending, gpus: readonly GpuDevice[]): NodeTotals {
  const { name, os, arch, cpuMilli, memoryBytes, diskBytes } = machine;
  return {
    name,
    os,
    arch,
    labels: [...new Set([...lending.labels, ...modelLabels(gpus)])].toSorted(),
    baseKeys: [],
    total: {
      cpuMilli: Math.min(cpuMilli, lending.cpuMilli ?? cpuMilli),
      memoryBytes: Math.min(memoryBytes, lending.memoryBytes ?? memoryBytes),
      diskBytes,
    },
    gpus: gpus.map(({ index, memoryBytes: bytes }) => ({ index, memoryBytes: bytes })),
  };
}

/** What this home lends; all of it where nothing was ever said. Throws `store.corrupt`. */
export function readLending(home: string): Lending {
  const path = lendingPath(home);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return LEND_ALL;
    throw error;
  }
  const lending = parseLending(text);
  if (lending === null)
    throw new MeshError("store.corrupt", `Cannot read what this machine lends from ${path}`, {
      hint: "Remove the file, and say again what to lend: `mesh join --cpus 4 --memory 16gb`.",
    });
  return lending;
}

/** Keeps what is lent for the next start. */
export function writeLending(home: string, lending: Lending): void {
  writeTextAtomically(lendingPath(home), `${JSON.stringify(lending)}\n`);
}

function lendingPath(home: string): string {
  return join(meshFolder(home), "lending.json");
}

function parseLending(text: string): Lending | null {
  try {
    const { cpuMilli, memoryBytes, gpus, labels, draining } = JSON.parse(text) as Partial<Record<string, unknown>>;
    const isAmount = (value: unknown): value is number | null =>
      value === null || (Number.isSafeInteger(value) && (value as number) > 0);
    if (!isAmount(cpuMilli) || !isAmount(memoryBytes) || typeof draining !== "boolean") return null;
    if (gpus !== null && typeof gpus !== "string") return null;
    if (gpus !== null) parseGpuSpec(gpus);
    if (!Array.isArray(labels) || !labels.every((each): each is string => typeof each === "string")) return null;
    return { cpuMilli, memoryBytes, gpus, labels, draining };
  } catch {
    return null;
  }
}

function parseLabels(text: string): readonly string[] {
  const labels = text.split(",").map((label) => label.trim());
  const wanted = labels.filter((label) => label !== "");
  const bad = wanted.find((label) => !LABEL.test(label));
  if (bad !== undefined) throw unreadable("--labels", bad, "letters, digits and _ . : / = -, separated by commas");
  return [...new Set(wanted)].toSorted();
}

function unreadable(flag: string, given: string, expected: string): MeshError {
  return new MeshError("usage.invalid", `Cannot read ${flag} ${JSON.stringify(given)}: ${expected} is expected`);
}
