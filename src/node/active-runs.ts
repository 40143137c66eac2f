// The runs that this process coordinates: started, watched from their beginning, stopped. It never drives one: the node does.

import { asMeshError, MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
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

export class ActiveRuns {
  readonly #node: Pick<MeshNode, "run" | "resumeRun">;
  readonly #running = new Map<string, Active>();
  readonly #ended = new Map<string, RunFeed>();
  readonly #ends = new Set<Promise<unknown>>();
  /** Of all runs that have not ended, those too that have not told their id yet. */
  readonly #stops = new Set<RunStop>();
  #isClosing = false;

  constructor(node: Pick<MeshNode, "run" | "resumeRun">) {
    this.#node = node;
  }

  /** Starts a run. The feed tells of it. Throws `node.not-running` when the node is about to end. */
  start(submission: RunSubmission): Started {
    return this.#begin((wires) => this.#node.run({ ...submission, ...wires }));
  }

  /** Goes on with a run whose driver is gone. The feed tells of it from its beginning. Throws as `start` does. */
  takeUp(run: string): Started {
    return this.#begin((wires) => this.#node.resumeRun(run, wires));
  }

  #begin(begin: (wires: RunWires) => Promise<RunOutcome>): Started {
    if (this.#isClosing) throw new MeshError("node.not-running", "Cannot start a run: the node is about to end");
    const feed = new RunFeed();
    const cancel = new AbortController();
    const kill = new AbortController();
    let active: Active | null = null;
    const see = (event: RunEvent) => {
      if (event.kind === "run-started")
        this.#running.set(event.run.id, (active = { feed, started: event, cancel, kill, finished: 0 }));
      if (active !== null && isEnd(event)) active.finished++;
      feed.event(event);
    };
    const observer: RunObserver = {
      event: see,
      replayed: see,
      output: (task, stream, bytes) => feed.output(task, stream, bytes),
      notice: (level, text) => feed.notice(level, text),
    };
    const stop: RunStop = {
      cancel: () => cancel.abort(),
      kill: () => {
        cancel.abort();
        kill.abort();
      },
    };
    this.#stops.add(stop);
    const end = begin({ observer, signal: cancel.signal, killSignal: kill.signal })
      .then((outcome) => feed.end(outcome))
      .catch((error: unknown) => feed.fail(asMeshError(error) ?? bug(error)))
      .finally(() => {
        this.#stops.delete(stop);
        this.#over(feed);
      });
    this.#ends.add(end);
    void end.finally(() => this.#ends.delete(end));
    return { feed, stop };
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

  /** Stops all runs and waits until they have: within their grace period, or at once when that takes longer than `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    for (const stop of this.#stops) stop.cancel();
    const killing = setTimeout(() => {
      for (const stop of this.#stops) stop.kill();
    }, graceMs);
    await Promise.allSettled(this.#ends);
    clearTimeout(killing);
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
    let kept = [...this.#ended.values()].reduce((sum, each) => sum + each.size, 0);
    for (const [id, each] of this.#ended) {
      if (this.#ended.size <= LIMITS.endedRuns && kept <= LIMITS.endedRunMessages) break;
      this.#ended.delete(id);
      kept -= each.size;
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
  /** At once. */
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
