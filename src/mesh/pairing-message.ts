// The messages of a pairing: their forms, written and read strictly, and the MAC on those that follow the agreement. It never
// decides what is due.

import { type Canonical, canonicalBytes, parseCanonical } from "../base/canonical.ts";
import { digestFromHex, hexOf } from "../base/digest.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import { type CpaceMessage, SHARE_BYTES } from "./cpace.ts";
import type { EntryId, MeshId } from "./grant.ts";
import { isNodeName } from "./node-name.ts";
import { isRole, type Role } from "./roles.ts";

/** The connection that a pairing runs over, as one side sees it. */
export interface PairingChannel {
  /** This machine, and the key that the other one proved in the handshake. */
  readonly own: PeerId;
  readonly peer: PeerId;
  /** 32 bytes or more that only the two ends of this connection have: TLS's exporter (RFC 8446, 7.5). */
  readonly exporter: Uint8Array;
  /** "10.0.0.7:7433": this end and the other one. null where addresses are known to be translated on the way. */
  readonly addresses: { readonly own: string; readonly peer: string } | null;
}

/** What the joiner would like to be. */
export interface JoinWish {
  readonly name: string;
  /** null: whatever the code gives. */
  readonly roles: readonly Role[] | null;
}

/** What the inviter gives: a roster in which the joiner is a member. */
export interface JoinAnswer {
  readonly mesh: MeshId;
  readonly grant: EntryId;
  readonly entries: readonly Uint8Array[];
}

export type PairingRefusal =
  /** The code is wrong, or not open (any more). Never said which. */
  | "code"
  /** Too many tries lately. */
  | "too-many"
  /** The two ends see other addresses: something between them translates them. */
  | "addresses"
  /** The code does not give the roles that were asked for. */
  | "roles"
  /** A message was not what is due. */
  | "misbehaved"
  /** The other side would not go on, for a reason of its own. */
  | "denied";

/** First item of the message that ends a pairing. */
export const REFUSED = 0;
const REASONS: readonly PairingRefusal[] = ["code", "too-many", "addresses", "roles", "misbehaved", "denied"];

export function refusalBytes(reason: PairingRefusal): Uint8Array {
  return canonicalBytes([REFUSED, reason]);
}

export function reasonOf(value: Canonical | undefined): PairingRefusal {
  return REASONS.find((reason) => reason === value) ?? "misbehaved";
}

export function addressData({ addresses }: PairingChannel): Uint8Array {
  return canonicalBytes(addresses === null ? null : [addresses.own, addresses.peer]);
}

/** Whether what the other said of addresses, if it did, is what is seen here. */
export function addressesFit({ addresses }: PairingChannel, data: Uint8Array): boolean {
  if (addresses === null || isSame(data, canonicalBytes(null))) return true;
  return isSame(data, canonicalBytes([addresses.peer, addresses.own]));
}

/** Reads a message of the exchange: an array of at most four; null for anything else. */
export function readMessage(bytes: Uint8Array): readonly Canonical[] | null {
  if (bytes.length > LIMITS.pairingMessageBytes) return null;
  const value = parseOrNull(bytes);
  return Array.isArray(value) && value.length <= 4 ? (value as readonly Canonical[]) : null;
}

export function shareOf(message: readonly Canonical[] | null, kind: number, at: number): CpaceMessage | null {
  if (message === null || message[0] !== kind || message.length !== at + 2) return null;
  const share = message[at];
  const data = message[at + 1];
  if (!(share instanceof Uint8Array) || !(data instanceof Uint8Array)) return null;
  return share.length === SHARE_BYTES && data.length <= MAX_DATA_BYTES ? { share, data } : null;
}

const MAX_DATA_BYTES = 256;

export function isTag(message: readonly Canonical[] | null, kind: number, expected: Uint8Array): boolean {
  const tag = message?.[1];
  return message?.[0] === kind && message.length === 2 && tag instanceof Uint8Array && isSame(tag, expected);
}

/** A message with a MAC that covers its kind: 5 goes one way only, 6 the other. */
export function seal(kind: number, payload: Uint8Array, key: Uint8Array): Uint8Array {
  return canonicalBytes([kind, payload, macOf(kind, payload, key)]);
}

export function openSealed(message: readonly Canonical[] | null, kind: number, key: Uint8Array): Canonical | null {
  if (message?.[0] !== kind || message.length !== 3) return null;
  const [, payload, mac] = message;
  if (!(payload instanceof Uint8Array) || !(mac instanceof Uint8Array)) return null;
  return isSame(mac, macOf(kind, payload, key)) ? (parseOrNull(payload) ?? null) : null;
}

function macOf(kind: number, payload: Uint8Array, key: Uint8Array): Uint8Array {
  // A key of its own for each kind, apart from that of the tags.
  const macKey = new Bun.CryptoHasher("sha512", key).update(`mesh pairing 1 message ${kind}`).digest();
  return new Bun.CryptoHasher("sha512", macKey).update(payload).digest();
}

export function wishOf(value: Canonical): JoinWish | null {
  const { name, roles } = fieldsOf(value);
  if (typeof name !== "string" || !isNodeName(name)) return null;
  if (roles === null) return { name, roles: null };
  if (!Array.isArray(roles) || roles.length === 0) return null;
  const known = roles.filter((role): role is Role => typeof role === "string" && isRole(role));
  return known.length === roles.length && new Set(known).size === known.length ? { name, roles: known } : null;
}

export function answerOf(value: Canonical): JoinAnswer | null {
  const { mesh, grant, entries } = fieldsOf(value);
  if (!(mesh instanceof Uint8Array) || mesh.length !== 32 || !(grant instanceof Uint8Array) || grant.length !== 32)
    return null;
  if (!Array.isArray(entries)) return null;
  const bytes = entries.filter((entry) => entry instanceof Uint8Array);
  if (bytes.length !== entries.length) return null;
  return { mesh: digestFromHex(mesh.toHex()), grant: digestFromHex(grant.toHex()), entries: bytes };
}

export function wishBytes({ name, roles }: JoinWish): Uint8Array {
  return canonicalBytes({ name, roles });
}

export function answerBytes({ mesh, grant, entries }: JoinAnswer): Uint8Array {
  const bytes = (digest: MeshId) => Uint8Array.fromHex(hexOf(digest));
  return canonicalBytes({ mesh: bytes(mesh), grant: bytes(grant), entries });
}

function fieldsOf(value: Canonical): Readonly<Record<string, Canonical | undefined>> {
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
  return isMap ? (value as Readonly<Record<string, Canonical>>) : {};
}

function parseOrNull(bytes: Uint8Array): Canonical | undefined {
  try {
    return parseCanonical(bytes);
  } catch {
    return undefined; // Any fault of the form is the same answer.
  }
}

/** In a time that tells nothing of where they differ. */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0);
  return difference === 0;
}
