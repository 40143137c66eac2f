// A node's part that runs definitions, for tests of those who ask for runs: a run begins when it is told to, prints what it is
// told, and ends when it is told or stopped.

import type { RunOutcome, RunRequest } from "../../src/node/node.ts";

export interface FakeRunControl {
  readonly request: RunRequest;
  readonly id: string;
  begin(): void;
  end(): void;
}

const TIMES = { startedAt: null, completedAt: null, durationMs: null } as const;

/** Ids are "0000000000000000a0", "...a1", and so on. With `stubborn` a run ends by a kill alone. */
export class FakeRuns {
  readonly runs: FakeRunControl[] = [];
  readonly #options: { readonly begins?: boolean; readonly stubborn?: boolean };

  constructor(options: { readonly begins?: boolean; readonly stubborn?: boolean } = {}) {
    this.#options = options;
  }

  readonly resumeRun = (): Promise<never> => Promise.reject(new Error("the fake takes no run up"));

  readonly run = async (request: RunRequest): Promise<RunOutcome> => {
    const { begins = true, stubborn = false } = this.#options;
    const id = `0000000000000000a${this.runs.length}`;
    const header = { id, title: "t", definition: request.path, init: {}, targets: [], coordinator: "desk" };
    const end = Promise.withResolvers<void>();
    const begin = () =>
      request.observer.event?.({
        kind: "run-started",
        atMs: this.runs.length,
        run: header,
        options: { failFast: false },
        tasks: [],
      });
    this.runs.push({ request, id, begin, end: () => end.resolve() });
    if (begins) begin();
    const stop = stubborn ? request.killSignal : request.signal;
    stop.addEventListener("abort", () => end.resolve());
    if (stop.aborted) end.resolve();
    await end.promise;
    const status = { execution: request.signal.aborted ? "aborted" : "finished", result: "none" } as const;
    const file = { path: "t", absolutePath: request.path, directory: "/", text: "", digest: "sha256:" as never };
    return { kind: "finished", file, diagnostics: [], summary: { ...header, ...TIMES, status, tasks: [] } };
  };
}

/** What a client submits. */
export const SUBMISSION = {
  path: "/x/tasks.yml",
  targets: [],
  init: {},
  failFast: false,
  cache: true,
  base: null,
  title: null,
  backend: "context",
  jobs: null,
  nodes: [],
  labels: [],
} as const;
