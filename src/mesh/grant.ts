// What stands in a roster: signed grants, which make a machine a member, and signed revocations, which end that. Their form, their
// bytes and their signatures. It never says which of them count: standing.ts does.

import { canonicalBytes, type Canonical, parseCanonical } from "../base/canonical.ts";
import { type Digest, digestFromHex, digestOf, hexOf } from "../base/digest.ts";
import { type PeerId, peerIdOf } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import { KEY_BYTES, SIGNATURE_BYTES } from "./certificate.ts";
import { isNodeName } from "./node-name.ts";
import { isRole, type Role } from "./roles.ts";
import type { Signatures } from "./signatures.ts";

/** A mesh: the id of its founding grant. */
export type MeshId = Digest;

/** An entry: the digest of what is signed. Two signatures of one body are the same entry. */
export type EntryId = Digest;

export interface Grant {
  readonly kind: "grant";
  /** null in the founding grant, which makes the mesh. */
  readonly mesh: MeshId | null;
  readonly node: PeerId;
  readonly name: string;
  /** Ascending, each once, at least one. An admin's grant does not expire: only a revocation ends it. */
  readonly roles: readonly Role[];
  readonly issuer: PeerId;
  /** The admin grant of the issuer by which it issued this one; null in the founding grant. */
  readonly authority: EntryId | null;
  /** 16 bytes of chance, as hex: no two grants are the same. */
  readonly serial: string;
  /** By the issuer's clock; for people. Nothing is decided by it. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number | null;
  /** Revocations and grants of the same machine that this one takes the place of, sorted. */
  readonly overrules: readonly EntryId[];
}

export interface Revocation {
  readonly kind: "revocation";
  readonly mesh: MeshId;
  readonly node: PeerId;
  readonly issuer: PeerId;
  /** The issuer's own grant: an admin's, or any where a machine revokes itself. */
  readonly authority: EntryId;
  readonly issuedAtMs: number;
  /** Entries that the revoked one issued and that stay good, sorted. All others are void, whenever they are said to be made. */
  readonly honoured: readonly EntryId[];
}

export type Entry = Grant | Revocation;

export interface SignedEntry<E extends Entry = Entry> {
  readonly id: EntryId;
  readonly entry: E;
  /** As it is kept and sent. */
  readonly bytes: Uint8Array;
}

/** Signs an entry, as its issuer. */
export function signEntry<E extends Entry>(
  entry: E,
  issuer: { sign(message: Uint8Array): Uint8Array },
): SignedEntry<E> {
  const body = canonicalBytes(bodyOf(entry));
  const bytes = canonicalBytes([body, issuer.sign(signedMessage(body))]);
  return { id: digestOf(body), entry, bytes };
}

/** An entry out of bytes from outside, its signature not checked yet. */
export interface UncheckedEntry extends SignedEntry {
  /** Whether the issuer signed it. */
  isSigned(signatures: Signatures): boolean;
}

/** Reads an entry; null when the bytes are not the canonical form of one, or one of its values cannot be. */
export function readEntry(bytes: Uint8Array): UncheckedEntry | null {
  if (bytes.length > LIMITS.rosterEntryBytes) return null;
  const outer = parseOrNull(bytes);
  if (!Array.isArray(outer) || outer.length !== 2) return null;
  const [body, signature] = outer as readonly Canonical[];
  if (!(body instanceof Uint8Array) || !(signature instanceof Uint8Array)) return null;
  if (signature.length !== SIGNATURE_BYTES) return null;
  const entry = entryOf(parseOrNull(body));
  // One entry has one form: what was left out, added or put in another order shows here.
  if (entry === null || !isSame(canonicalBytes(bodyOf(entry)), body)) return null;
  return {
    id: digestOf(body),
    entry,
    bytes: bytes.slice(),
    isSigned: (signatures) => signatures.verify(keyOf(entry.issuer), signedMessage(body), signature),
  };
}

/** Whether an entry makes a mesh. */
export function isFounding(entry: Entry): entry is Grant & { readonly mesh: null } {
  return entry.kind === "grant" && entry.mesh === null;
}

/**
 * Whether an entry only says that its issuer leaves: it ends the grant that it names as its authority and touches nothing else. It
 * is all that a member who is no admin may say, and as it has one form only, nobody can fill a roster with it.
 */
export function isPlainLeave(entry: Entry): boolean {
  const isOfItself = entry.kind === "revocation" && entry.node === entry.issuer;
  return isOfItself && entry.honoured.length === 0 && entry.issuedAtMs === 0;
}

const CONTEXT = new TextEncoder().encode("mesh roster entry 1\0");
const SERIAL = /^[0-9a-f]{32}$/;
/** Latest time that a Date holds. */
const MAX_TIME_MS = 8.64e15;

/** So that a signature over an entry is one over nothing else. */
function signedMessage(body: Uint8Array): Uint8Array {
  const message = new Uint8Array(CONTEXT.length + body.length);
  message.set(CONTEXT);
  message.set(body, CONTEXT.length);
  return message;
}

function bodyOf(entry: Entry): Canonical {
  const common = {
    kind: entry.kind,
    mesh: entry.mesh === null ? null : idBytes(entry.mesh),
    node: keyOf(entry.node),
    issuer: keyOf(entry.issuer),
    authority: entry.authority === null ? null : idBytes(entry.authority),
    issuedAt: entry.issuedAtMs,
  };
  if (entry.kind === "revocation") return { ...common, honoured: entry.honoured.map(idBytes) };
  return {
    ...common,
    name: entry.name,
    roles: entry.roles,
    serial: Uint8Array.fromHex(entry.serial),
    expiresAt: entry.expiresAtMs,
    overrules: entry.overrules.map(idBytes),
  };
}

function entryOf(value: Canonical | undefined): Entry | null {
  if (value === undefined || value === null || typeof value !== "object") return null;
  if (Array.isArray(value) || value instanceof Uint8Array) return null;
  const fields = value as Readonly<Record<string, Canonical | undefined>>;
  const node = peerOf(fields["node"]);
  const issuer = peerOf(fields["issuer"]);
  const mesh = fields["mesh"] === null ? null : idOf(fields["mesh"]);
  const authority = fields["authority"] === null ? null : idOf(fields["authority"]);
  const issuedAtMs = timeOf(fields["issuedAt"]);
  if (node === null || issuer === null || mesh === undefined || authority === undefined || issuedAtMs === null)
    return null;
  if (fields["kind"] === "revocation") {
    const honoured = idsOf(fields["honoured"], LIMITS.rosterHonoured);
    if (mesh === null || authority === null || honoured === null) return null;
    return { kind: "revocation", mesh, node, issuer, authority, issuedAtMs, honoured };
  }
  if (fields["kind"] !== "grant") return null;
  const grant = grantOf(fields, { mesh, node, issuer, authority, issuedAtMs });
  return grant !== null && isSound(grant) ? grant : null;
}

type Common = Pick<Grant, "mesh" | "node" | "issuer" | "authority" | "issuedAtMs">;

function grantOf(fields: Readonly<Record<string, Canonical | undefined>>, common: Common): Grant | null {
  const { name, serial } = fields;
  const roles = rolesOf(fields["roles"]);
  const overrules = idsOf(fields["overrules"], LIMITS.rosterOverrules);
  const expiresAtMs = fields["expiresAt"] === null ? null : timeOf(fields["expiresAt"]);
  if (typeof name !== "string" || !(serial instanceof Uint8Array)) return null;
  if (roles === null || overrules === null || (expiresAtMs === null && fields["expiresAt"] !== null)) return null;
  return { kind: "grant", ...common, name, roles, serial: serial.toHex(), expiresAtMs, overrules };
}

/** What holds for every grant, whoever issued it. */
function isSound(grant: Grant): boolean {
  if (!isNodeName(grant.name) || !SERIAL.test(grant.serial)) return false;
  if ((grant.mesh === null) !== (grant.authority === null)) return false;
  const isAdmin = grant.roles.includes("admin");
  if (isAdmin && grant.expiresAtMs !== null) return false;
  return grant.mesh !== null || (isAdmin && grant.issuer === grant.node && grant.overrules.length === 0);
}

function rolesOf(value: Canonical | undefined): readonly Role[] | null {
  if (!Array.isArray(value) || value.length === 0) return null;
  const roles = value.filter((role): role is Role => typeof role === "string" && isRole(role));
  // One order and no repetition, as two forms of one grant would be two grants.
  return roles.length === value.length && isAscending(roles) ? roles : null;
}

function idsOf(value: Canonical | undefined, most: number): readonly EntryId[] | null {
  if (!Array.isArray(value) || value.length > most) return null;
  const ids = value.map((item: Canonical) => idOf(item));
  const known = ids.filter((id) => id !== undefined);
  return known.length === ids.length && isAscending(known) ? known : null;
}

function isAscending(texts: readonly string[]): boolean {
  return texts.every((text, index) => index === 0 || (texts[index - 1] ?? "") < text);
}

function peerOf(value: Canonical | undefined): PeerId | null {
  return value instanceof Uint8Array && value.length === KEY_BYTES ? peerIdOf(value) : null;
}

function idOf(value: Canonical | undefined): EntryId | undefined {
  return value instanceof Uint8Array && value.length === 32 ? digestFromHex(value.toHex()) : undefined;
}

function timeOf(value: Canonical | undefined): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= MAX_TIME_MS ? value : null;
}

function keyOf(peer: PeerId): Uint8Array {
  return Uint8Array.fromHex(peer);
}

function idBytes(id: EntryId): Uint8Array {
  return Uint8Array.fromHex(hexOf(id));
}

function parseOrNull(bytes: Uint8Array): Canonical | undefined {
  try {
    return parseCanonical(bytes);
  } catch {
    return undefined; // Any fault of the form is the same answer.
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
