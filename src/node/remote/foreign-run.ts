// One coordinator's run as a worker knows it: attempts over the worker's own store, ledger and claims, and the words about them.
// Which attempts there are is the lease book's to say.

import type { MeshError } from "../../base/errors.ts";
import type { Digest } from "../../base/digest.ts";
import type { TaskResult } from "../../store/result.ts";
import type { PeerId, RunId } from "../../base/ids.ts";
import type { ContentExchange, ContentRef } from "../../mesh/content.ts";
import type { Peers } from "../../mesh/peers.ts";
import type { AttemptRef } from "../../sched/run-event.ts";
import { type ExecutionMachine, Executor, type LocalRoom } from "../executor.ts";
import type { CommandWork, TaskWork } from "../work.ts";
import { type Parcel, packResult } from "./wire-result.ts";
import { type OfferedWork, completeWork, contentOfOffered, draftOf } from "./wire-work.ts";
import type { Free, OfferedTask, WorkEnd } from "./wire-words.ts";
import { WordSender } from "./word-sender.ts";

export interface ForeignRunOptions {
  readonly machine: ExecutionMachine;
  readonly peers: Peers;
  readonly content: ContentExchange;
  readonly coordinator: PeerId;
  readonly run: RunId;
  readonly title: string;
  readonly actor: string;
  readonly free: () => Free;
  readonly onBegan: (lease: string) => void;
  readonly onEnded: (lease: string, end: WorkEnd) => void;
  readonly onFault: (error: unknown) => void;
}

interface Attempt {
  readonly ref: AttemptRef;
  readonly offered: OfferedWork;
  readonly holders: OfferedTask["holders"];
  parcel: Parcel | null;
  isOver: boolean;
}

export class ForeignRun {
  readonly words: WordSender;
  readonly #options: ForeignRunOptions;
  readonly #executor: Executor;
  readonly #attempts = new Map<string, Attempt>();

  constructor(options: ForeignRunOptions) {
    const { machine, peers, coordinator, run, title, actor, free } = options;
    this.#options = options;
    this.words = new WordSender({ peers, to: coordinator, run, free });
    this.#executor = new Executor({
      machine,
      runId: run,
      title,
      actor,
      holds: (ref) => this.#attempts.has(ref.lease),
      prepare: (ref, work, signal) => this.#prepare(ref, work, signal),
      onReturned: (ref, cause) => this.#returned(ref, cause),
      onOutput: (ref, stream, bytes) => this.words.output(ref, stream, bytes),
      onResult: (ref, _work, result) => {
        const attempt = this.#attempts.get(ref.lease);
        if (attempt !== undefined) attempt.parcel = packResult(result, machine.store);
      },
      onEvent: (event) => {
        if (event.kind === "task-started") options.onBegan(event.lease);
        if (event.kind !== "task-finished") return;
        const attempt = this.#attempts.get(event.lease);
        if (attempt !== undefined) attempt.isOver = true;
        options.onEnded(event.lease, { kind: "finished", outcome: event.outcome, parcel: attempt?.parcel ?? null });
      },
      // whoever has sent so many is likely to send as many more; a context that nobody takes costs next to nothing
      upcoming: () => this.#executor.size,
      onFault: options.onFault,
    });
  }

  /** Attempts that the coordinator has not acknowledged the end of. */
  get size(): number {
    return this.#attempts.size;
  }

  /** Another attempt at the same task that still runs here: it has to end first. */
  liveLease(key: string): string | null {
    for (const [lease, { ref, isOver }] of this.#attempts) if (ref.key === key && !isOver) return lease;
    return null;
  }

  /** Takes the key and the room among all processes of this machine. */
  admit(ref: AttemptRef, offered: OfferedWork, holders: OfferedTask["holders"]): LocalRoom {
    // the book gives the share of this process back
    const room = this.#executor.admit(ref, draftOf(offered), () => undefined);
    if (room.kind === "taken") this.#attempts.set(ref.lease, { ref, offered, holders, parcel: null, isOver: false });
    return room;
  }

  /** A result that is not written yet. */
  fresh(key: Digest): TaskResult | null {
    return this.#executor.fresh(key);
  }

  start(lease: string): void {
    const attempt = this.#attempts.get(lease);
    if (attempt !== undefined) this.#executor.start(attempt.ref, draftOf(attempt.offered));
  }

  stop(lease: string, graceful: boolean): void {
    const attempt = this.#attempts.get(lease);
    if (attempt !== undefined) this.#executor.cancel(attempt.ref, graceful);
  }

  refOf(lease: string): AttemptRef | null {
    return this.#attempts.get(lease)?.ref ?? null;
  }

  forget(lease: string): void {
    this.#attempts.delete(lease);
    this.words.forget(lease);
  }

  /** Kills what runs and waits until nothing does. */
  async close(): Promise<void> {
    this.words.close();
    await this.#executor.close();
  }

  #prepare(ref: AttemptRef, work: TaskWork, signal: () => AbortSignal): CommandWork | Promise<CommandWork> {
    const attempt = this.#attempts.get(ref.lease);
    if (attempt === undefined || work.kind !== "command") throw new Error(`Bug: ${ref.key} starts and was not offered`);
    const { machine, content, coordinator, run } = this.#options;
    const { store, backend } = machine;
    const needed = contentOfOffered(attempt.offered);
    if (needed.length === 0) return completeWork(attempt.offered, store, backend.paths);
    // what is here already must not be pruned from under the task
    store.runs.pin(
      run,
      needed.map(({ digest }) => digest),
    );
    const lacking = needed.filter((ref_) => !isHere(ref_, machine));
    if (lacking.length === 0) return completeWork(attempt.offered, store, backend.paths);
    const holders = holdersOf(lacking, attempt.holders, coordinator);
    return content
      .fetch(lacking, { holders, signal: signal() })
      .then(() => completeWork(attempt.offered, store, backend.paths));
  }

  #returned(ref: AttemptRef, { code, message }: MeshError): void {
    const attempt = this.#attempts.get(ref.lease);
    if (attempt !== undefined) attempt.isOver = true;
    const missing =
      code === "blob.missing" && attempt !== undefined
        ? contentOfOffered(attempt.offered).filter((each) => !isHere(each, this.#options.machine))
        : [];
    this.#options.onEnded(ref.lease, {
      kind: "returned",
      code,
      message,
      missing: missing.map(({ digest }) => digest),
    });
  }
}

/** Whether this store has it, and need not doubt it. */
function isHere({ kind, digest }: ContentRef, { store }: ExecutionMachine): boolean {
  if (kind === "blob") return store.blobs.has(digest);
  return store.layers.has(digest) && !store.layers.needsCheck(digest);
}

/** Machines to fetch from: those that have the most of it first, the coordinator last. */
function holdersOf(
  lacking: readonly ContentRef[],
  holders: OfferedTask["holders"],
  coordinator: PeerId,
): readonly PeerId[] {
  const wanted = new Set(lacking.map(({ digest }) => digest));
  const counts = new Map<PeerId, number>();
  for (const [digest, peers] of holders) {
    if (!wanted.has(digest)) continue;
    for (const peer of peers) counts.set(peer, (counts.get(peer) ?? 0) + 1);
  }
  const known = [...counts].toSorted(([a, many], [b, few]) => few - many || (a < b ? -1 : 1)).map(([peer]) => peer);
  return known.includes(coordinator) ? known : [...known, coordinator];
}
