// Whether a set of tasks is a graph that can run: every name known, every key once, no cycle.
// It never changes a graph; graph.ts grows one from what passed here.

import { unreachable } from "../base/assert.ts";
import { LIMITS } from "../base/limits.ts";
import { nearest } from "../base/text.ts";
import type { TaskNode } from "./task-node.ts";

export type GraphFault =
  | { readonly kind: "duplicate"; readonly key: string }
  | { readonly kind: "unknown"; readonly key: string; readonly names: string; readonly suggestion: string | null }
  /** Each task waits for the next one; the last is the first again. */
  | { readonly kind: "cycle"; readonly path: readonly string[] }
  | { readonly kind: "too-many"; readonly count: number; readonly most: number };

export interface GraphCheck {
  /** At most `LIMITS.diagnostics`; empty when the tasks can run. */
  readonly faults: readonly GraphFault[];
  /** Positions in the given list, each task after all it waits for. Complete only when there are no faults. */
  readonly order: readonly number[];
}

/** Checks tasks that are to join those of `known`, which cannot wait for the new ones. Linear in tasks and edges. */
export function checkGraph(nodes: readonly TaskNode[], known: ReadonlyMap<string, unknown> = new Map()): GraphCheck {
  const count = known.size + nodes.length;
  if (count > LIMITS.tasks) return { faults: [{ kind: "too-many", count, most: LIMITS.tasks }], order: [] };
  const faults: GraphFault[] = [];
  const positions = new Map<string, number>();
  nodes.forEach((node, position) => {
    if (known.has(node.key) || positions.has(node.key)) report(faults, { kind: "duplicate", key: node.key });
    else positions.set(node.key, position);
  });
  const waits = nodes.map((node) => newDependencies(node, positions, known, faults));
  const order = dependencyOrder(waits);
  if (order.length < nodes.length) {
    for (const cycle of findCycles(waits, order))
      report(faults, { kind: "cycle", path: cycle.map((at) => nodes[at]?.key ?? "") });
  }
  return { faults, order };
}

/** A fault for people. */
export function describeFault(fault: GraphFault): string {
  switch (fault.kind) {
    case "duplicate":
      return `The task key ${JSON.stringify(fault.key)} is given twice`;
    case "unknown": {
      const hint = fault.suggestion === null ? "" : `; did you mean ${JSON.stringify(fault.suggestion)}?`;
      return `Task ${JSON.stringify(fault.key)} waits for ${JSON.stringify(fault.names)}, which does not exist${hint}`;
    }
    case "cycle":
      return `The tasks wait for each other: ${fault.path.join(" -> ")}`;
    case "too-many":
      return `The run would have ${fault.count} tasks, the most is ${fault.most}`;
    default:
      return unreachable(fault);
  }
}

function newDependencies(
  node: TaskNode,
  positions: ReadonlyMap<string, number>,
  known: ReadonlyMap<string, unknown>,
  faults: GraphFault[],
): readonly number[] {
  const found: number[] = [];
  for (const names of [node.needs, node.after.tasks]) {
    for (const name of names) {
      const position = positions.get(name);
      if (position !== undefined) found.push(position);
      else if (!known.has(name) && faults.length < LIMITS.diagnostics) {
        const suggestion = nearest(name, [...positions.keys(), ...known.keys()]);
        report(faults, { kind: "unknown", key: node.key, names: name, suggestion });
      }
    }
  }
  return found;
}

/** Kahn's algorithm: positions in dependency order; those on or behind a cycle are left out. */
function dependencyOrder(waits: readonly (readonly number[])[]): readonly number[] {
  const open = waits.map((list) => list.length);
  const waiters: number[][] = waits.map(() => []);
  waits.forEach((list, position) => {
    for (const dependency of list) waiters[dependency]?.push(position);
  });
  const order: number[] = [];
  open.forEach((count, position) => {
    if (count === 0) order.push(position);
  });
  for (let at = 0; at < order.length; at++) {
    for (const waiter of waiters[order[at] ?? 0] ?? []) {
      const left = (open[waiter] ?? 0) - 1;
      open[waiter] = left;
      if (left === 0) order.push(waiter);
    }
  }
  return order;
}

/** One path for each group of tasks that could not be ordered; every task lies on at most one path. */
function findCycles(waits: readonly (readonly number[])[], order: readonly number[]): readonly (readonly number[])[] {
  const ordered = new Set(order);
  const walked = new Set<number>();
  const cycles: number[][] = [];
  for (let start = 0; start < waits.length; start++) {
    if (ordered.has(start) || walked.has(start)) continue;
    const trail = new Map<number, number>();
    let at = start;
    // Every unordered task waits for an unordered one: the walk ends on its own trail or on one walked before.
    while (!walked.has(at)) {
      walked.add(at);
      trail.set(at, trail.size);
      at = waits[at]?.find((dependency) => !ordered.has(dependency)) ?? at;
    }
    const from = trail.get(at);
    if (from !== undefined) cycles.push([...[...trail.keys()].slice(from), at]);
  }
  return cycles;
}

function report(faults: GraphFault[], fault: GraphFault): void {
  if (faults.length < LIMITS.diagnostics) faults.push(fault);
}
