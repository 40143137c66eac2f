// Questions that a process asks others about outputs, each with one answer, or none: when the connection is lost, or after a while.

import type { Host } from "./host.ts";
import type { End } from "./lan.ts";
import type { Answer, Question } from "./message.ts";

interface Pending {
  readonly to: Host;
  readonly end: End;
  readonly untilMs: number;
  readonly answered: (answer: Answer | null) => void;
}

/** Calls of one process of a machine are numbered apart from those of the next. */
const MOST_CALLS = 1_000_000;

export class Calls {
  readonly #host: Host;
  readonly #pending = new Map<number, Pending>();
  #last: number;

  constructor(host: Host) {
    this.#host = host;
    this.#last = host.life * MOST_CALLS;
  }

  /** `answered` gets null when no answer comes in time. Returns what calls the question off: then it gets nothing. */
  ask(
    to: Host,
    question: Question,
    { timeoutMs, answered }: { readonly timeoutMs: number; readonly answered: Pending["answered"] },
  ): () => void {
    const end = this.#host.mesh?.openTo(to) ?? null;
    if (end === null) {
      let isWanted = true;
      this.#host.after(0, () => isWanted && answered(null));
      return () => (isWanted = false);
    }
    const id = ++this.#last;
    this.#pending.set(id, { to, end, untilMs: this.#host.monotonicMs + timeoutMs, answered });
    this.#host.send(to, { kind: "question", id, question });
    return () => {
      if (this.#pending.delete(id)) this.#host.send(to, { kind: "call-off", id });
    };
  }

  heard(from: Host, id: number, answer: Answer): void {
    const pending = this.#pending.get(id);
    if (pending?.to !== from) return;
    this.#pending.delete(id);
    pending.answered(answer);
  }

  /** A connection is closed. */
  lost(end: End): void {
    this.#fail((pending) => pending.end === end);
  }

  /** Gives up what has waited too long. */
  tick(): void {
    const nowMs = this.#host.monotonicMs;
    this.#fail(({ untilMs }) => untilMs <= nowMs);
  }

  #fail(isLost: (pending: Pending) => boolean): void {
    for (const [id, pending] of this.#pending) {
      if (!isLost(pending) || !this.#pending.delete(id)) continue;
      this.#host.send(pending.to, { kind: "call-off", id });
      pending.answered(null);
    }
  }
}
