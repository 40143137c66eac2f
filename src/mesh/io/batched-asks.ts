// Questions to the same machine that are asked in one turn of the event loop go out as one message.

import type { PeerId } from "../../base/ids.ts";

interface Asked<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export class BatchedAsks<Question, Answer> {
  readonly #send: (peer: PeerId, questions: readonly Question[]) => Promise<readonly Answer[]>;
  readonly #most: number;
  readonly #open = new Map<PeerId, Asked<Question, Answer>[]>();

  /** `send` answers each of at most `most` questions, in their order. */
  constructor(most: number, send: (peer: PeerId, questions: readonly Question[]) => Promise<readonly Answer[]>) {
    this.#most = most;
    this.#send = send;
  }

  /** Rejects with what `send` throws. */
  ask(peer: PeerId, question: Question): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const open = this.#open.get(peer);
    if (open) open.push({ question, resolve, reject });
    else {
      this.#open.set(peer, [{ question, resolve, reject }]);
      setImmediate(() => this.#flush(peer));
    }
    return promise;
  }

  #flush(peer: PeerId): void {
    const asked = this.#open.get(peer) ?? [];
    this.#open.delete(peer);
    for (let at = 0; at < asked.length; at += this.#most) void this.#go(peer, asked.slice(at, at + this.#most));
  }

  async #go(peer: PeerId, asked: readonly Asked<Question, Answer>[]): Promise<void> {
    try {
      const answers = await this.#send(
        peer,
        asked.map(({ question }) => question),
      );
      for (const [at, { resolve, reject }] of asked.entries()) {
        const answer = answers[at];
        if (answer === undefined) reject(new Error("A question was not answered"));
        else resolve(answer);
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}
