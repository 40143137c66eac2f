// Calls, words and streams of a machine to itself: the same handlers, roles and values as over the network, without one.

import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import type { MemberView, Methods } from "../methods.ts";
import { wireErrorOf } from "../remote-error.ts";
import { packValue, unpackValue } from "../wire-value.ts";
import type { WordHandler } from "../peers.ts";
import type { Request } from "./connection.ts";

interface Here {
  readonly peer: PeerId;
  readonly member: MemberView | null;
}

/** Calls a handler of this machine. Throws what a call over the network would throw. */
export async function callHere(methods: Methods, here: Here, request: Request): Promise<unknown> {
  const controller = new AbortController();
  const { promise: gaveUp, reject } = Promise.withResolvers<never>();
  using _ = givingUp(request, (error) => {
    controller.abort(error);
    reject(error);
  });
  const member = memberOf(here);
  const handler = methods.find("call", request.method, member);
  const answer = (async () =>
    copied(await handler(copied(request.params), callerOf(here, member, controller.signal))))();
  try {
    return await Promise.race([answer, gaveUp]);
  } catch (error) {
    throw controller.signal.aborted ? error : asRemote(error, request.method);
  }
}

interface OwnWord {
  readonly method: string;
  readonly params: unknown;
  /** Takes what the handler throws. */
  readonly failed: (error: unknown) => void;
}

/** Says a word to this machine; false when it has no handler for it. */
export function tellHere(methods: Methods, here: Here, { method, params, failed }: OwnWord): boolean {
  const member = memberOf(here);
  const copy = copied(params);
  let handler: WordHandler;
  try {
    handler = methods.find("word", method, member);
  } catch {
    return false;
  }
  queueMicrotask(() => {
    try {
      handler(copy, { peer: here.peer, ...member });
    } catch (error) {
      failed(error);
    }
  });
  return true;
}

/** Reads a stream of this machine. */
export async function* streamHere(
  methods: Methods,
  here: Here,
  request: Request,
): AsyncGenerator<Uint8Array, void, undefined> {
  request.signal?.throwIfAborted();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(request.signal?.reason);
  request.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const member = memberOf(here);
    const handler = methods.find("stream", request.method, member);
    for await (const piece of handler(copied(request.params), callerOf(here, member, controller.signal))) {
      request.signal?.throwIfAborted();
      if (piece.length > 0) yield piece;
    }
  } catch (error) {
    throw controller.signal.aborted ? error : asRemote(error, request.method);
  } finally {
    request.signal?.removeEventListener("abort", onAbort);
    controller.abort(new MeshError("peer.unreachable", "The reader is gone"));
  }
}

function memberOf({ member, peer }: Here): MemberView {
  if (member === null) throw new MeshError("peer.refused", `This machine (${peer}) is no member of the mesh`);
  return member;
}

function callerOf(here: Here, member: MemberView, signal: AbortSignal) {
  return { peer: here.peer, ...member, signal };
}

function copied(value: unknown): unknown {
  return unpackValue(packValue(value));
}

function asRemote(error: unknown, method: string): MeshError {
  if (error instanceof MeshError) return error;
  const { code, message } = wireErrorOf(error, method);
  return new MeshError(code, message, { cause: error });
}

function givingUp({ method, timeoutMs, signal }: Request, giveUp: (error: unknown) => void): Disposable {
  signal?.throwIfAborted();
  const late = new MeshError("peer.timeout", `This machine did not answer ${method} within ${timeoutMs} ms`);
  const timer = timeoutMs < 2 ** 31 ? setTimeout(() => giveUp(late), timeoutMs) : null;
  const onAbort = (): void => giveUp(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  return {
    [Symbol.dispose]: () => {
      if (timer !== null) clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    },
  };
}
