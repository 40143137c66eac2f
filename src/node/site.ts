// A place where attempts of a run can be executed: this machine or another one of the mesh. Types only.

import type { PeerId } from "../base/ids.ts";
import type { Ask } from "../sched/ask.ts";
import type { NodeCapacity } from "../sched/fit.ts";
import type { PlaceNode } from "../sched/place-node.ts";
import type { MeshError } from "../base/errors.ts";
import type { Digest } from "../base/digest.ts";
import type { TaskResult } from "../store/result.ts";
import type { AttemptRef, RunEvent } from "../sched/run-event.ts";
import type { TaskWork } from "./work.ts";

/** Room for an attempt, or why there is none at the moment. */
export type Room =
  | { readonly kind: "taken"; readonly ref: AttemptRef }
  /** Another run has the same key executed. */
  | { readonly kind: "elsewhere"; readonly by: string }
  /** Somebody has just finished the same key. */
  | { readonly kind: "answered" }
  | { readonly kind: "full" }
  /** The machine will not run this task, whatever becomes free. */
  | { readonly kind: "refused"; readonly why: MeshError };

/** One task that is to be executed somewhere. */
export interface Wanted {
  readonly key: string;
  readonly attempt: number;
  readonly work: TaskWork;
}

/** What an attempt takes of a machine. */
export interface Taken {
  readonly key: string;
  readonly ask: Ask;
}

/** Another machine as a run uses it. */
export interface RemoteSite {
  readonly peer: PeerId;
  /** Its name. */
  readonly node: string;
  /** What is free there as far as is known; null when it takes nothing at the moment. */
  seen(): Omit<PlaceNode, "running"> | null;
  /** What the run takes there, or is asking for, and what is not in what is free. */
  taken(): Iterable<Taken>;
  /** All that it could ever give; null when it never said so, or takes no tasks. */
  capacity(): NodeCapacity | null;
  /** Why it takes nothing for longer: "is down: ..."; null when it does. */
  absence(): string | null;
  /** Attempts that the run has there. */
  readonly size: number;
  /** Asks for room; what is granted begins at once. One answer a task, in order. Never rejects. */
  offer(wanted: readonly Wanted[]): Promise<readonly Room[]>;
  /** The run has written the grant down: what is said of the attempt from now on, and what was said since, counts. */
  start(ref: AttemptRef, work: TaskWork): void;
  cancel(ref: AttemptRef, graceful: boolean): void;
}

/** What sites tell the run. */
export interface SiteReports {
  readonly holds: (ref: AttemptRef) => boolean;
  readonly onOutput: (ref: AttemptRef, stream: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** A result is there: called before the event that says so. */
  readonly onResult: (ref: AttemptRef, work: TaskWork, result: TaskResult, succeeded: boolean) => void;
  readonly onEvent: (event: RunEvent) => void;
  /** An attempt came back before it began; `missing` is what of its inputs the machine could not get. */
  readonly onReturned: (ref: AttemptRef, node: string, cause: MeshError, missing: readonly Digest[]) => void;
  /** Does something once all that was reported so far is on the disk. */
  readonly onceWritten: (act: () => void) => void;
  /** Something a person should know. */
  readonly notice: (text: string) => void;
  /** Something failed that is no task's fault. */
  readonly onFault: (error: unknown) => void;
}
