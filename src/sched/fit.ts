// Whether an ask fits a machine, and every reason why not, as data with words beside it.
// It never takes capacity (ledger.ts does) and never compares machines that fit (place.ts does).

import { unreachable } from "../base/assert.ts";
import { sentenceList } from "../base/text.ts";
import { formatBytes, formatCpus } from "../base/units.ts";
import type { Ask } from "./ask.ts";

/** Divisible amounts of one machine. Integers >= 0. */
export interface Amounts {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

export interface Gpu {
  /** Index that the driver gives it. */
  readonly index: number;
  /** 0 where the driver does not say: such a GPU can only be leased whole. */
  readonly memoryBytes: number;
  /** Bytes not leased; 0 when it is leased whole. */
  readonly freeMemoryBytes: number;
  /** Whether some task holds it, or a part of it. */
  readonly inUse: boolean;
}

/** One machine as it offers itself at one moment. */
export interface NodeCapacity {
  readonly name: string;
  readonly os: string;
  readonly arch: string;
  readonly labels: readonly string[];
  /** Keys of the bases that only this kind of machine has. */
  readonly baseKeys: readonly string[];
  /** What tasks may have when nothing runs. */
  readonly total: Amounts;
  /** What is not leased. */
  readonly free: Amounts;
  readonly gpus: readonly Gpu[];
}

/** Why an ask does not fit. `scope` "total": never on this machine; "free": not while others hold what they hold. */
export type Reason =
  | { readonly kind: "node"; readonly scope: "total"; readonly asked: string; readonly has: string }
  | { readonly kind: "os"; readonly scope: "total"; readonly asked: string; readonly has: string }
  | { readonly kind: "arch"; readonly scope: "total"; readonly asked: string; readonly has: string }
  | { readonly kind: "labels"; readonly scope: "total"; readonly missing: readonly string[] }
  | { readonly kind: "base"; readonly scope: "total"; readonly asked: string; readonly has: readonly string[] }
  | { readonly kind: "cpu"; readonly scope: Scope; readonly askedMilli: number; readonly hasMilli: number }
  | { readonly kind: "memory"; readonly scope: Scope; readonly askedBytes: number; readonly hasBytes: number }
  | { readonly kind: "disk"; readonly scope: Scope; readonly askedBytes: number; readonly hasBytes: number }
  | {
      readonly kind: "gpus";
      readonly scope: Scope;
      readonly asked: number;
      readonly has: number;
      readonly askedBytesEach: number;
    };

type Scope = "total" | "free";

export type Fit =
  | { readonly fits: true }
  | {
      readonly fits: false;
      /** Whether the machine would fit once it is idle. */
      readonly ever: boolean;
      /** At least one, in a fixed order. */
      readonly reasons: readonly Reason[];
    };

const FITS: Fit = { fits: true };

/** Compares an ask with one machine. All reasons are given, not only the first. */
export function fits(ask: Ask, node: NodeCapacity): Fit {
  const reasons: Reason[] = [];
  traitReasons(ask, node, reasons);
  amountReasons(ask, node, reasons);
  gpuReasons(ask, node, reasons);
  if (reasons.length === 0) return FITS;
  return { fits: false, ever: reasons.every((reason) => reason.scope === "free"), reasons };
}

/** Whether a machine has what an ask demands beside amounts and GPUs: its traits, which do not change while it runs. */
export function hasTraits(ask: Ask, node: NodeCapacity): boolean {
  if (ask.node !== null && ask.node !== node.name) return false;
  if (ask.os !== null && ask.os !== node.os) return false;
  if (ask.arch !== null && ask.arch !== node.arch) return false;
  if (ask.baseKey !== null && !node.baseKeys.includes(ask.baseKey)) return false;
  return ask.labels.length === 0 || ask.labels.every((label) => node.labels.includes(label));
}

/** One machine that refuses an ask, and why. */
export interface Miss {
  readonly node: string;
  readonly ever: boolean;
  readonly reasons: readonly Reason[];
}

/** The refusal that lacks the least: one that ends by itself first, then the fewest reasons, then by name. Null when one fits. */
export function nearestMiss(ask: Ask, nodes: readonly NodeCapacity[]): Miss | null {
  let nearest: Miss | null = null;
  for (const node of nodes) {
    const fit = fits(ask, node);
    if (fit.fits) return null;
    const miss: Miss = { node: node.name, ever: fit.ever, reasons: fit.reasons };
    if (nearest === null || compareMisses(miss, nearest) < 0) nearest = miss;
  }
  return nearest;
}

/** A reason for people: "asks for 16 GiB of memory, has 8 GiB free". */
export function describeReason(reason: Reason): string {
  switch (reason.kind) {
    case "node":
      return `asks for the machine ${reason.asked}, this is ${reason.has}`;
    case "os":
      return `asks for ${reason.asked}, runs ${reason.has}`;
    case "arch":
      return `asks for ${reason.asked}, is ${reason.has}`;
    case "labels":
      return `lacks the label ${sentenceList(reason.missing)}`;
    case "base":
      return reason.has.length === 0
        ? "has no base of its own to run on"
        : "its own system differs from the base that is asked for";
    case "cpu":
      return `asks for ${formatCpus(reason.askedMilli)} CPU, has ${formatCpus(reason.hasMilli)} ${scopeWord(reason.scope)}`;
    case "memory":
      return `asks for ${formatBytes(reason.askedBytes)} of memory, has ${formatBytes(reason.hasBytes)} ${scopeWord(reason.scope)}`;
    case "disk":
      return `asks for ${formatBytes(reason.askedBytes)} of disk, has ${formatBytes(reason.hasBytes)} ${scopeWord(reason.scope)}`;
    case "gpus":
      return `asks for ${reason.asked} GPU${gpuMemoryWords(reason.askedBytesEach)}, has ${reason.has} ${scopeWord(reason.scope)}`;
    default:
      return unreachable(reason);
  }
}

/** GPUs of a machine that can serve an ask now: the tightest that suffices first, then by index. */
export function usableGpus(ask: Ask, gpus: readonly Gpu[]): readonly Gpu[] {
  const usable = gpus.filter((gpu) =>
    ask.gpuMemoryBytes > 0 ? gpu.freeMemoryBytes >= ask.gpuMemoryBytes : !gpu.inUse,
  );
  return usable.sort((a, b) => a.freeMemoryBytes - b.freeMemoryBytes || a.index - b.index);
}

function traitReasons(ask: Ask, node: NodeCapacity, into: Reason[]): void {
  if (ask.node !== null && ask.node !== node.name)
    into.push({ kind: "node", scope: "total", asked: ask.node, has: node.name });
  if (ask.os !== null && ask.os !== node.os) into.push({ kind: "os", scope: "total", asked: ask.os, has: node.os });
  if (ask.arch !== null && ask.arch !== node.arch)
    into.push({ kind: "arch", scope: "total", asked: ask.arch, has: node.arch });
  if (ask.labels.length > 0) {
    const missing = ask.labels.filter((label) => !node.labels.includes(label));
    if (missing.length > 0) into.push({ kind: "labels", scope: "total", missing });
  }
  if (ask.baseKey !== null && !node.baseKeys.includes(ask.baseKey)) {
    into.push({ kind: "base", scope: "total", asked: ask.baseKey, has: node.baseKeys });
  }
}

function amountReasons(ask: Ask, node: NodeCapacity, into: Reason[]): void {
  if (ask.cpuMilli > node.free.cpuMilli) {
    const scope = ask.cpuMilli > node.total.cpuMilli ? "total" : "free";
    into.push({ kind: "cpu", scope, askedMilli: ask.cpuMilli, hasMilli: node[scope].cpuMilli });
  }
  if (ask.memoryBytes > node.free.memoryBytes) {
    const scope = ask.memoryBytes > node.total.memoryBytes ? "total" : "free";
    into.push({ kind: "memory", scope, askedBytes: ask.memoryBytes, hasBytes: node[scope].memoryBytes });
  }
  if (ask.diskBytes > node.free.diskBytes) {
    const scope = ask.diskBytes > node.total.diskBytes ? "total" : "free";
    into.push({ kind: "disk", scope, askedBytes: ask.diskBytes, hasBytes: node[scope].diskBytes });
  }
}

function gpuReasons(ask: Ask, node: NodeCapacity, into: Reason[]): void {
  if (ask.gpus === 0) return;
  const now = usableGpus(ask, node.gpus).length;
  if (now >= ask.gpus) return;
  const idle = node.gpus.filter((gpu) => gpu.memoryBytes >= ask.gpuMemoryBytes).length;
  const scope = idle < ask.gpus ? "total" : "free";
  const has = scope === "total" ? idle : now;
  into.push({ kind: "gpus", scope, asked: ask.gpus, has, askedBytesEach: ask.gpuMemoryBytes });
}

function compareMisses(a: Miss, b: Miss): number {
  if (a.ever !== b.ever) return a.ever ? -1 : 1;
  return a.reasons.length - b.reasons.length || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0);
}

function scopeWord(scope: Scope): string {
  return scope === "free" ? "free" : "in all";
}

function gpuMemoryWords(bytesEach: number): string {
  return bytesEach === 0 ? "" : ` with ${formatBytes(bytesEach)}`;
}
