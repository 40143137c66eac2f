// Which of several bulk connections with one machine the next request takes. It knows counts, no connection.

interface Candidate {
  readonly isOpen: boolean;
  /** Streams that the other end reads from here. */
  readonly serving: number;
  /** Calls and streams under way, of both sides. */
  readonly busy: number;
}

/**
 * The open one that sends the least from here, and of those the one with the least under way: what is asked for must not wait
 * behind megabytes that go the same way. Among equals the first, or the last: the two ends of idle ones begin with different ones.
 */
export function chooseBulk<T extends Candidate>(connections: Iterable<T>, among: "first" | "last"): T | null {
  const all = [...connections];
  let best: T | null = null;
  for (const connection of among === "first" ? all : all.toReversed()) {
    if (!connection.isOpen) continue;
    if (best === null || (connection.serving - best.serving || connection.busy - best.busy) < 0) best = connection;
  }
  return best;
}
