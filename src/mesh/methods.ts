// What a machine answers to: the handlers of calls, words and streams by name, and who may use which.

import { MeshError } from "../base/errors.ts";
import type { PeerId } from "../base/ids.ts";
import type { CallHandler, HandlerOptions, StreamHandler, WordHandler } from "./peers.ts";
import type { Role } from "./roles.ts";

interface Handlers {
  readonly call: CallHandler;
  readonly word: WordHandler;
  readonly stream: StreamHandler;
}

/** What the roster says of a machine. */
export interface MemberView {
  readonly name: string;
  readonly roles: readonly Role[];
}

export class Methods {
  readonly #handlers = new Map<string, { readonly handler: unknown; readonly needs: readonly Role[] | null }>();

  /** Takes a handler; a later one of the same kind and name replaces it. */
  on<K extends keyof Handlers>(
    kind: K,
    method: string,
    { handler, options }: { readonly handler: Handlers[K]; readonly options: HandlerOptions | undefined },
  ): void {
    this.#handlers.set(`${kind} ${method}`, { handler, needs: options?.needs ?? null });
  }

  /** The handler for a member. Throws `peer.version` for a method that this machine does not know, `peer.refused`. */
  find<K extends keyof Handlers>(kind: K, method: string, member: MemberView): Handlers[K] {
    const found = this.#handlers.get(`${kind} ${method}`);
    if (found === undefined) throw new MeshError("peer.version", `There is no ${kind} ${method} here`);
    if (found.needs !== null && !found.needs.some((role) => member.roles.includes(role)))
      throw new MeshError(
        "peer.refused",
        `${member.name} may not use ${method}: it needs the role ${found.needs.join(" or ")}`,
      );
    return found.handler as Handlers[K];
  }
}

/** Looks a machine up in the roster; null for one that is no member (any more). */
export type MemberOf = (peer: PeerId) => MemberView | null;

/** Whether a word failed because there is no handler for it, or not for whoever said it: nobody is told of that. */
export function isUnheard(error: unknown): boolean {
  return error instanceof MeshError && (error.code === "peer.version" || error.code === "peer.refused");
}
