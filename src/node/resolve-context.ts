// What resolving a task may look at: the run so far, the store, the backend. Types only.

import type { Backend } from "../exec/backend.ts";
import type { Filter } from "../store/filter.ts";
import type { Store } from "../store/io/store.ts";
import type { LayerRef } from "../store/layer.ts";
import type { Hooks } from "./hooks.ts";
import type { InputViews } from "./inputs.ts";
import type { RunScope } from "./scope.ts";
import type { Stack } from "./stack.ts";
import type { Variables } from "./task-environment.ts";

/** What the run knows of a task that has succeeded, as far as others build on it. */
export interface Finished {
  readonly stack: Stack;
  readonly variables: Variables;
  readonly hooks: Hooks;
}

export interface ResolveContext {
  readonly store: Store;
  readonly backend: Backend;
  readonly run: RunScope;
  /** The identity of the base filesystem, as cache keys name it. */
  readonly baseKey: string;
  readonly definitionDirectory: string;
  /** Copy of the definition's folder, narrowed by a filter; for tasks that read `run.dir`. */
  runDirectory(filter: Filter): Promise<LayerRef>;
  readonly views: InputViews;
  /** Name of this machine: what moves files of its user runs nowhere else. */
  readonly nodeName: string;
  /** What a task is called over time. */
  identityOf(task: string): string;
  /** False under `--no-cache`: nothing is served from the cache, but results are still kept. */
  readonly cache: boolean;
  finished(task: string): Finished;
  readonly signal: AbortSignal;
}
