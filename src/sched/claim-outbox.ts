// What one step of the key claims has to say, gathered by machine and cut into messages of bounded size. It sends nothing.

import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import type { ClaimMessage } from "./claim-message.ts";

type Items<Kind extends ClaimMessage["kind"], Field extends string> =
  Extract<ClaimMessage, { readonly kind: Kind }> extends Readonly<Record<Field, readonly (infer Item)[]>>
    ? Item[]
    : never;

/** What is to be said to one machine. */
interface Box {
  readonly claims: Items<"claim", "claims">;
  readonly answers: Items<"answer", "answers">;
  readonly releases: Items<"release", "releases">;
  readonly freed: string[];
}

export class ClaimOutbox {
  readonly #boxes = new Map<PeerId, Box>();

  for(peer: PeerId): Box {
    let box = this.#boxes.get(peer);
    if (box === undefined) {
      box = { claims: [], answers: [], releases: [], freed: [] };
      this.#boxes.set(peer, box);
    }
    return box;
  }

  /** Takes out what is for one machine; null when nothing is left. */
  take(): { readonly to: PeerId; readonly messages: readonly ClaimMessage[] } | null {
    for (const [to, box] of this.#boxes) {
      this.#boxes.delete(to);
      return { to, messages: messagesOf(box) };
    }
    return null;
  }
}

/** Releases go first: a claim of the same key behind one finds it free. */
function messagesOf(box: Box): readonly ClaimMessage[] {
  return [
    ...batches(box.releases).map((releases): ClaimMessage => ({ kind: "release", releases })),
    ...batches(box.claims).map((claims): ClaimMessage => ({ kind: "claim", claims })),
    ...batches(box.answers).map((answers): ClaimMessage => ({ kind: "answer", answers })),
    ...batches(box.freed).map((keys): ClaimMessage => ({ kind: "freed", keys })),
  ];
}

function batches<T>(items: readonly T[]): readonly (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let at = 0; at < items.length; at += LIMITS.claimBatch) parts.push(items.slice(at, at + LIMITS.claimBatch));
  return parts;
}
