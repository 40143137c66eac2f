// The runs that this process coordinates: started, watched from their beginning, stopped. It never drives one: the node does.

import { asMeshError, MeshError } from "../base/errors.ts";
import type { RunEvent } from "../sched/run-event.ts";
import type { MeshNode, RunOutcome, RunRequest, RunWires } from "./node.ts";
import type { ActiveRun } from "./node-service.ts";
import type { RunObserver } from "./observer.ts";
import { RunFeed } from "./run-feed.ts";

/** What a run needs besides its wires. */
export type RunSubmission = Omit<RunRequest, "observer" | "signal" | "killSignal">;

interface Active {
  readonly feed: RunFeed;
  readonly started: RunEvent & { readonly kind: "run-started" };
  readonly cancel: AbortController;
  readonly kill: AbortController;
  finished: number;
}

/** Runs that have ended stay watchable for those who are about to look. */
const MOST_ENDED = 16;

export class ActiveRuns {
  readonly #node: Pick<MeshNode, "run" | "resumeRun">;
  readonly #running = new Map<string, Active>();
  readonly #ended = new Map<string, RunFeed>();
  readonly #ends = new Set<Promise<unknown>>();

  constructor(node: Pick<MeshNode, "run" | "resumeRun">) {
    this.#node = node;
  }

  /** Starts a run. The feed tells of it; it never throws. */
  start(submission: RunSubmission, also: RunObserver = {}): Started {
    return this.#start((wires) => this.#node.run({ ...submission, ...wires }), also);
  }

  /** Goes on with a run whose driver has died, as one that nobody waits for. The feed tells of it from its beginning. */
  takeUp(id: string): Started {
    return this.#start((wires) => this.#node.resumeRun(id, wires));
  }

  #start(drive: (wires: RunWires) => Promise<RunOutcome>, also: RunObserver = {}): Started {
    const feed = new RunFeed();
    const cancel = new AbortController();
    const kill = new AbortController();
    let active: Active | null = null;
    const heed = (event: RunEvent) => {
      if (event.kind === "run-started")
        this.#running.set(event.run.id, (active = { feed, started: event, cancel, kill, finished: 0 }));
      if (active !== null && isEnd(event)) active.finished++;
      feed.event(event);
    };
    const observer: RunObserver = {
      event: (event) => {
        heed(event);
        also.event?.(event);
      },
      replayed: heed,
      output: (task, stream, bytes) => {
        feed.output(task, stream, bytes);
        also.output?.(task, stream, bytes);
      },
      notice: (level, text) => {
        feed.notice(level, text);
        also.notice?.(level, text);
      },
    };
    const end = drive({ observer, signal: cancel.signal, killSignal: kill.signal })
      .then((outcome) => feed.end(outcome))
      .catch((error: unknown) => feed.fail(asMeshError(error) ?? bug(error)))
      .finally(() => this.#over(feed));
    this.#ends.add(end);
    void end.finally(() => this.#ends.delete(end));
    return { feed, stop: { cancel: () => cancel.abort(), kill: () => kill.abort() } };
  }

  /** Newest first. */
  list(): readonly ActiveRun[] {
    return [...this.#running.values()].map(viewOf).toSorted((a, b) => b.startedAtMs - a.startedAtMs);
  }

  /** A run whose id starts so, running or just over; null when there is none. Throws `usage.invalid` when there are several. */
  feed(prefix: string): RunFeed | null {
    const running = this.#find(prefix);
    if (running !== null) return running.feed;
    const id = [...this.#ended.keys()].find((each) => each.startsWith(prefix));
    return id === undefined ? null : (this.#ended.get(id) ?? null);
  }

  /** Asks a run to stop; asked again, or with `force`, at once. Returns null when no run here has such an id. */
  cancel(prefix: string, force: boolean): ActiveRun | null {
    const run = this.#find(prefix);
    if (run === null) return null;
    if (force || run.cancel.signal.aborted) {
      run.cancel.abort();
      run.kill.abort();
    } else run.cancel.abort();
    return viewOf(run);
  }

  /** Stops all runs and waits until they have. */
  async close(): Promise<void> {
    for (const run of this.#running.values()) {
      run.cancel.abort();
      run.kill.abort();
    }
    while (this.#ends.size > 0) await Promise.allSettled(this.#ends);
  }

  #find(prefix: string): Active | null {
    const found = [...this.#running.entries()].filter(([id]) => id.startsWith(prefix));
    if (found.length > 1) {
      throw new MeshError("usage.invalid", `${JSON.stringify(prefix)} is the start of ${found.length} runs`, {
        hint: "Give more of the run's id.",
      });
    }
    return found[0]?.[1] ?? null;
  }

  #over(feed: RunFeed): void {
    for (const [id, run] of this.#running) {
      if (run.feed !== feed) continue;
      this.#running.delete(id);
      this.#ended.set(id, feed);
    }
    for (const id of this.#ended.keys()) {
      if (this.#ended.size <= MOST_ENDED) break;
      this.#ended.delete(id);
    }
  }
}

export interface Started {
  readonly feed: RunFeed;
  readonly stop: RunStop;
}

export interface RunStop {
  /** Within the grace period. */
  cancel(): void;
  /** At once; after `cancel`. */
  kill(): void;
}

/** Whether a task has its end, give or take one that loses its result again. */
function isEnd(event: RunEvent): boolean {
  if (event.kind === "task-resolved") return event.outcome.kind !== "miss";
  return event.kind === "task-finished" || event.kind === "task-refused";
}

function bug(error: unknown): MeshError {
  return new MeshError("node.failed", `The node failed: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}

function viewOf({ started, finished }: Active): ActiveRun {
  const { run, tasks, atMs } = started;
  return {
    id: run.id,
    title: run.title,
    definition: run.definition,
    coordinator: run.coordinator,
    startedAtMs: atMs,
    status: { execution: "running", result: "none" },
    tasks: tasks.length,
    finished,
  };
}
