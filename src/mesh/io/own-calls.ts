// Calls, words and streams that need no network: those of a machine to itself. The same handlers, roles and values as between
// machines, so that nobody can tell the difference but by the time it takes.

import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { isUnheard, type MemberView, type Methods } from "../methods.ts";
import type { Take } from "../peers.ts";
import { wireErrorOf } from "../remote-error.ts";
import { packValue, unpackValue } from "../wire-value.ts";
import type { Request } from "./connection.ts";

/** Who asks, and who answers. */
export interface Ends {
  readonly peer: PeerId;
  readonly member: MemberView | null;
  readonly methods: Methods;
  /** Name of the machine that answers. */
  readonly answerer: string;
}

/** Calls a handler. Throws what a call over the network would throw. */
export async function callHere(ends: Ends, request: Request): Promise<unknown> {
  request.signal?.throwIfAborted();
  const params = copied(request.params);
  using patience = new Patience(ends, request);
  const answer = async (): Promise<unknown> => {
    const member = memberOf(ends);
    const handler = ends.methods.find("call", request.method, member);
    return copied(await handler(params, { peer: ends.peer, ...member, signal: patience.signal }));
  };
  return await patience.orGiveUp(answer());
}

interface OwnWord {
  readonly method: string;
  readonly params: unknown;
  /** Takes what the handler throws. */
  readonly failed: (error: unknown) => void;
}

/** Says a word, which is heard later. */
export function tellHere(ends: Ends, { method, params, failed }: OwnWord): void {
  const copy = copied(params);
  queueMicrotask(() => {
    try {
      const member = memberOf(ends);
      ends.methods.find("word", method, member)(copy, { peer: ends.peer, ...member });
    } catch (error) {
      if (!isUnheard(error)) failed(error);
    }
  });
}

/** Reads a stream. Throws what reading it over the network would throw. */
export async function pullHere(ends: Ends, request: Request, take: Take): Promise<void> {
  request.signal?.throwIfAborted();
  const params = copied(request.params);
  using patience = new Patience(ends, request);
  const open = async (): Promise<AsyncIterator<Uint8Array>> => {
    const member = memberOf(ends);
    const handler = ends.methods.find("stream", request.method, member);
    return handler(params, { peer: ends.peer, ...member, signal: patience.signal })[Symbol.asyncIterator]();
  };
  const pieces = await patience.orGiveUp(open());
  try {
    for (;;) {
      const next = await patience.orGiveUp(pieces.next());
      if (next.done === true) return;
      const held = next.value.length > 0 ? take(next.value) : undefined;
      if (held) await patience.orStopped(held);
    }
  } finally {
    patience.end();
    // Not awaited: a handler that waits for something learns by its signal that nobody reads.
    pieces.return?.().catch(() => undefined);
  }
}

/** How long whoever asked still wants the answer. */
class Patience implements Disposable {
  readonly #ends: Ends;
  readonly #request: Request;
  readonly #controller = new AbortController();
  readonly #onAbort = (): void => this.#controller.abort(this.#request.signal?.reason);

  constructor(ends: Ends, request: Request) {
    this.#ends = ends;
    this.#request = request;
    request.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Aborted when nobody wants the answer any more. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What the promise gives within the request's time; its errors as they would come over the network. */
  async orGiveUp<T>(answer: Promise<T>): Promise<T> {
    const { method, timeoutMs } = this.#request;
    const late = `${this.#ends.answerer} did not answer ${method} within ${timeoutMs} ms`;
    const timer = setTimeout(
      () => this.#controller.abort(new MeshError("peer.timeout", late)),
      Math.min(timeoutMs, 2 ** 31 - 1),
    );
    try {
      return await this.orStopped(answer);
    } catch (error) {
      if (this.signal.aborted) throw error;
      const { code, message } = wireErrorOf(error, method);
      throw new MeshError(code, message);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What the promise gives, however long it takes, unless nobody wants the answer any more. */
  async orStopped<T>(answer: Promise<T>): Promise<T> {
    const { promise: stopped, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(this.signal.reason as Error);
    this.signal.addEventListener("abort", onAbort, { once: true });
    if (this.signal.aborted) onAbort();
    try {
      return await Promise.race([answer, stopped]);
    } finally {
      this.signal.removeEventListener("abort", onAbort);
    }
  }

  end(): void {
    this.#controller.abort(new MeshError("peer.unreachable", "Nobody waits for it"));
  }

  [Symbol.dispose](): void {
    this.#request.signal?.removeEventListener("abort", this.#onAbort);
  }
}

function memberOf({ member, peer }: Ends): MemberView {
  if (member === null) throw new MeshError("peer.refused", `The machine ${peer} is no member of the mesh`);
  return member;
}

function copied(value: unknown): unknown {
  return unpackValue(packValue(value));
}
