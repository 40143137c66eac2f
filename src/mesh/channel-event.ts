// What goes into the machine of a connection, and what comes out of it. Types only. Ids of calls and streams belong to the
// side that made them: each side numbers its own from 1, strictly upwards.

import type { Hello } from "./hello.ts";
import type { WireError } from "./remote-error.ts";

export type ChannelEvent =
  /** The connection stands; says hello. */
  | { readonly kind: "opened" }
  | { readonly kind: "received"; readonly bytes: Uint8Array }
  /** Bytes went out; as many still wait. */
  | { readonly kind: "flushed"; readonly queuedBytes: number }
  /** Time has passed: comes about twice a second. */
  | { readonly kind: "ticked" }
  // Ours: what this side asks of the other.
  | { readonly kind: "call"; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly kind: "open"; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly kind: "word"; readonly method: string; readonly params: unknown }
  /** Gives a call or a stream of ours up. */
  | { readonly kind: "cancel"; readonly id: number }
  /** The reader of a stream of ours has taken bytes. */
  | { readonly kind: "consumed"; readonly id: number; readonly bytes: number }
  // Theirs: what this side answers.
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  | { readonly kind: "fail"; readonly id: number; readonly error: WireError }
  /** The first bytes of a stream of theirs that was `asked`, or the next ones after it was `wanted`. Not to be changed before that is said again. */
  | { readonly kind: "piece"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly id: number }
  /** No new calls and streams from here; what is under way is finished, then the connection closes. */
  | { readonly kind: "finish" };

export type ChannelEffect =
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  /** The other side said hello, and both can work together in this version of the protocol. */
  | { readonly kind: "ready"; readonly hello: Hello; readonly protocol: number }
  // Ours.
  | { readonly kind: "answered"; readonly id: number; readonly value: unknown }
  | { readonly kind: "failed"; readonly id: number; readonly error: WireError }
  /** The bytes are those that came with the event, or a part of them. */
  | { readonly kind: "data"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: "ended"; readonly id: number }
  // Theirs.
  | { readonly kind: "called"; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly kind: "asked"; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly kind: "told"; readonly method: string; readonly params: unknown }
  | { readonly kind: "cancelled"; readonly id: number }
  /** The last piece of a stream of theirs has left: it can take its next one. */
  | { readonly kind: "wanted"; readonly id: number }
  | { readonly kind: "round-trip"; readonly ms: number }
  /** The other side makes no new calls and takes none. */
  | { readonly kind: "finishing" }
  /** Nothing more comes: send what was sent, then close. null: both sides wanted it. */
  | { readonly kind: "close"; readonly error: WireError | null };
