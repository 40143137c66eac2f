// Everything that is said of one run, kept so that whoever comes late sees it from the beginning: its events, what its tasks
// print from then on, its end. A slow reader loses output, with a count, and never an event.

import { MeshError } from "../base/errors.ts";
import type { ErrorJson } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import type { RunEvent } from "../sched/run-event.ts";
import type { RunOutcome } from "./node.ts";
import type { RunObserver } from "./observer.ts";

/** One line of a feed, plain JSON. */
export type FeedMessage =
  | { readonly kind: "event"; readonly event: RunEvent }
  | {
      readonly kind: "output";
      readonly task: string;
      readonly stream: "stdout" | "stderr";
      readonly base64: string;
    }
  | { readonly kind: "notice"; readonly level: "warning" | "info"; readonly text: string }
  /** Output that came too fast for this reader. The task's log has it. */
  | { readonly kind: "skipped"; readonly bytes: number }
  | { readonly kind: "ended"; readonly outcome: RunOutcome }
  | { readonly kind: "failed"; readonly error: ErrorJson };

type FeedEnd = Extract<FeedMessage, { kind: "ended" | "failed" }>;

export class RunFeed implements RunObserver {
  /** What is replayed to those who come later. */
  readonly #kept: FeedMessage[] = [];
  readonly #readers = new Set<FeedReader>();
  readonly #started = Promise.withResolvers<RunEvent & { readonly kind: "run-started" }>();
  #end: FeedEnd | null = null;

  constructor() {
    this.#started.promise.catch(() => undefined);
  }

  /** The run's first event; rejects when it ends without one. */
  get started(): Promise<RunEvent & { readonly kind: "run-started" }> {
    return this.#started.promise;
  }

  event(event: RunEvent): void {
    this.#keep({ kind: "event", event });
    if (event.kind === "run-started") this.#started.resolve(event);
  }

  output(task: string, stream: "stdout" | "stderr", bytes: Uint8Array): void {
    if (this.#readers.size === 0) return;
    const message: FeedMessage = { kind: "output", task, stream, base64: bytes.toBase64() };
    for (const reader of this.#readers) reader.offer(message, bytes.length);
  }

  notice(level: "warning" | "info", text: string): void {
    this.#keep({ kind: "notice", level, text });
  }

  /** The run is over. */
  end(outcome: RunOutcome): void {
    this.#finish({ kind: "ended", outcome });
  }

  /** The run could not go on. */
  fail(error: MeshError): void {
    this.#finish({ kind: "failed", error: error.toJSON() });
  }

  /** How many messages it keeps. */
  get size(): number {
    return this.#kept.length;
  }

  /** All of it, then what comes, until the end. What comes is kept for the reader from this call on; `return` lets go of it. */
  read(signal?: AbortSignal): AsyncIterableIterator<FeedMessage, undefined> {
    const reader = new FeedReader(this.#kept, () => {
      this.#readers.delete(reader);
      signal?.removeEventListener("abort", stop);
    });
    const stop = () => reader.close();
    if (this.#end === null) this.#readers.add(reader);
    if (signal?.aborted === true) stop();
    else signal?.addEventListener("abort", stop, { once: true });
    return reader;
  }

  #keep(message: FeedMessage): void {
    this.#kept.push(message);
    for (const reader of this.#readers) reader.offer(message, 0);
  }

  #finish(end: FeedEnd): void {
    this.#end = end;
    this.#keep(end);
    this.#started.reject(new MeshError("run.not-found", "The run ended before it began"));
  }
}

/** What one reader has still to read. */
class FeedReader implements AsyncIterableIterator<FeedMessage, undefined> {
  readonly #onClosed: () => void;
  #waiting: FeedMessage[];
  #at = 0;
  #outputBytes = 0;
  #skippedBytes = 0;
  #isClosed = false;
  #wake: (() => void) | null = null;

  constructor(kept: readonly FeedMessage[], onClosed: () => void) {
    this.#waiting = [...kept];
    this.#onClosed = onClosed;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  offer(message: FeedMessage, outputBytes: number): void {
    if (outputBytes > 0 && this.#outputBytes + outputBytes > LIMITS.feedOutputBytes) {
      this.#skippedBytes += outputBytes;
      return;
    }
    if (this.#skippedBytes > 0) {
      this.#waiting.push({ kind: "skipped", bytes: this.#skippedBytes });
      this.#skippedBytes = 0;
    }
    this.#outputBytes += outputBytes;
    this.#waiting.push(message);
    this.#wake?.();
  }

  /** What was not read is forgotten; a reader that waits is told the end. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting = [];
    this.#onClosed();
    this.#wake?.();
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** One at a time. */
  async next(): Promise<IteratorResult<FeedMessage, undefined>> {
    for (;;) {
      if (this.#isClosed) return { done: true, value: undefined };
      const message = this.#waiting[this.#at];
      if (message !== undefined) {
        this.#take(message);
        return { done: false, value: message };
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }

  #take(message: FeedMessage): void {
    this.#at++;
    if (message.kind === "output") this.#outputBytes -= bytesOfBase64(message.base64);
    if (this.#at === this.#waiting.length) {
      this.#waiting = [];
      this.#at = 0;
    }
    if (message.kind === "ended" || message.kind === "failed") this.close();
  }
}

function bytesOfBase64(text: string): number {
  return (text.length / 4) * 3 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);
}
