// Circles in a graph of tasks, each as the path that closes it. Linear in tasks and edges, and without recursion.

/** A circle: indexes along the path, the first one again at its end; and the edge that closes it. */
export interface Cycle<E> {
  readonly path: readonly number[];
  readonly closing: E;
}

/** Finds circles by depth-first search, one for each edge that closes one; at most `most` of them. */
export function findCycles<E extends { readonly to: number }>(
  edges: readonly (readonly E[])[],
  most: number,
): readonly Cycle<E>[] {
  const state = new Uint8Array(edges.length);
  const cycles: Cycle<E>[] = [];
  const path: number[] = [];
  const next: number[] = [];
  const positions = new Int32Array(edges.length);
  for (let root = 0; root < edges.length && cycles.length < most; root++) {
    if (state[root] !== UNSEEN) continue;
    path.push(root);
    next.push(0);
    state[root] = OPEN;
    positions[root] = 0;
    while (path.length > 0) {
      const at = path.length - 1;
      const from = path[at] ?? 0;
      const edge = edges[from]?.[next[at] ?? 0];
      if (!edge) {
        state[from] = DONE;
        path.pop();
        next.pop();
        continue;
      }
      next[at] = (next[at] ?? 0) + 1;
      if (state[edge.to] === OPEN && cycles.length < most) {
        cycles.push({ path: [...path.slice(positions[edge.to]), edge.to], closing: edge });
      } else if (state[edge.to] === UNSEEN) {
        state[edge.to] = OPEN;
        positions[edge.to] = path.length;
        path.push(edge.to);
        next.push(0);
      }
    }
  }
  return cycles;
}

const UNSEEN = 0;
const OPEN = 1;
const DONE = 2;
