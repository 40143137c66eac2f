// The other machines of the mesh as the floors above use them: who is there, and calls, words and streams between them.
// Types only: the real one is in io/, its twin for tests is test/fake/mesh-hub.ts, and one suite runs against both.

import type { PeerId } from "../base/ids.ts";
import type { NodeSnapshot, PeerView } from "./peer-view.ts";
import type { Role } from "./roles.ts";

/** Connections of their own, so that control never waits behind bulk data. */
export type Lane = "control" | "bulk";

export interface CallOptions {
  /** How long a call may take, or how long a stream may be without a piece. */
  readonly timeoutMs: number;
  /** For a call "control" when absent, for a stream "bulk". */
  readonly lane?: Lane;
  readonly signal?: AbortSignal;
}

/** Who called. What it may do was checked against the handler's `needs`. */
export interface Caller {
  readonly peer: PeerId;
  readonly name: string;
  readonly roles: readonly Role[];
  /** Aborted when the caller gives up or its connection closes. */
  readonly signal: AbortSignal;
}

export interface HandlerOptions {
  /** The caller must have one of these roles; any member may call when absent. */
  readonly needs?: readonly Role[];
}

/**
 * Answers a call. `params` come from outside and are unchecked. What it throws as `MeshError` is thrown as such (code and
 * message) at the caller; anything else arrives as `peer.failed` without its text.
 */
export type CallHandler = (params: unknown, caller: Caller) => unknown;

/** Takes a word that wants no answer. What it throws closes the connection as `peer.misbehaved`. */
export type WordHandler = (params: unknown, caller: Omit<Caller, "signal">) => void;

/**
 * Answers with bytes; the pieces may be of any size and are taken only as fast as the caller reads. The next piece is asked for when the one
 * before has left this process, so that it may lie in the same memory. A handler that waits for something must stop when the caller's
 * signal says so; a stream that is given up ends without another ask, and its last piece may still be on its way.
 */
export type StreamHandler = (params: unknown, caller: Caller) => AsyncIterable<Uint8Array>;

/** Takes bytes as they come; they are valid during the call only. A promise holds the sender back until it is settled. */
export type Take = (bytes: Uint8Array) => Promise<void> | undefined;

export interface PullOptions extends CallOptions {
  readonly take: Take;
}

/** What is new about a machine. */
export type PeerChange =
  | { readonly kind: "up"; readonly peer: PeerView }
  | { readonly kind: "snapshot"; readonly peer: PeerView }
  | { readonly kind: "suspect"; readonly peer: PeerView }
  | { readonly kind: "down"; readonly peer: PeerView }
  | { readonly kind: "roster"; readonly peer: PeerView };

/** Values are what msgpack holds: null, booleans, numbers, strings, byte arrays, arrays and plain objects. */
export interface Peers {
  readonly self: PeerId;
  /** All members, this machine included, by name. */
  list(): readonly PeerView[];
  /** null for one that is no member. */
  get(peer: PeerId): PeerView | null;
  /**
   * Calls a method of another machine (or of this one). Throws `peer.unreachable`, `peer.timeout`, `peer.refused`, `peer.version`,
   * `peer.failed`, what the handler threw, and `usage.invalid` for params that no message can hold. Whether the method ran is not known after a time-out or a lost connection.
   */
  call(peer: PeerId, method: string, params: unknown, options: CallOptions): Promise<unknown>;
  /**
   * Says a word. In order within a lane, as long as its connection stands. False when it is not sent: no connection, or too much is
   * waiting. A word that the other side has no handler for is not heard.
   */
  tell(peer: PeerId, method: string, params: unknown, lane?: Lane): boolean;
  /**
   * Reads bytes from another machine, on the bulk lane when no other is named. Throws as `call` does, and what `take` throws, which stops
   * the sender; `timeoutMs` is the longest wait for each piece.
   */
  pull(peer: PeerId, method: string, params: unknown, options: PullOptions): Promise<void>;
  onCall(method: string, handler: CallHandler, options?: HandlerOptions): void;
  onWord(method: string, handler: WordHandler, options?: HandlerOptions): void;
  onStream(method: string, handler: StreamHandler, options?: HandlerOptions): void;
  /** Tells of changes, in order, each after `list` shows it. */
  watch(listener: (change: PeerChange) => void): Disposable;
  /** What this machine says of itself from now on. */
  publish(snapshot: NodeSnapshot): void;
}
