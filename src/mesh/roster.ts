// Who belongs to a mesh: a set of signed entries that only grows. Any two rosters of a mesh, merged in any order, hold the same
// and say the same. It never fetches, sends or writes, and never decides by a clock but for a grant's own end.

import { assert } from "../base/assert.ts";
import { type Digest, digestOf, hexOf } from "../base/digest.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import {
  type EntryId,
  isFounding,
  isPlainLeave,
  type MeshId,
  readEntry,
  type SignedEntry,
  type UncheckedEntry,
} from "./grant.ts";
import type { Role } from "./roles.ts";
import type { Signatures } from "./signatures.ts";
import { type NodeStanding, type Standing, standingOf } from "./standing.ts";

/** What a machine is to the mesh. */
export type Verdict =
  | {
      readonly kind: "member";
      readonly name: string;
      readonly roles: readonly Role[];
      readonly expiresAtMs: number | null;
      /** The grant it is a member by: what it issues names this as its authority. */
      readonly grant: EntryId;
    }
  | { readonly kind: "expired"; readonly name: string; readonly expiredAtMs: number }
  | { readonly kind: "revoked"; readonly name: string }
  | { readonly kind: "unknown" };

export interface Member {
  readonly id: PeerId;
  readonly verdict: Verdict;
}

/** Why an entry was not taken: not in the form of one; of another mesh; not signed by its issuer; issued by none who may; too many. */
export type RefusalReason = "malformed" | "foreign" | "signature" | "authority" | "full";

export interface MergeReport {
  readonly added: readonly SignedEntry[];
  /** By reason, how many. What is there already is neither added nor refused. */
  readonly refused: ReadonlyMap<RefusalReason, number>;
}

/** What a roster holds, for another to send what is missing. Plain data: it crosses the wire as it is. */
export interface RosterSummary {
  /** Digest over all ids: two rosters with the same are the same. */
  readonly root: Digest;
  /** The ids, 32 bytes each, ascending. */
  readonly ids: Uint8Array;
}

export class Roster {
  readonly mesh: MeshId;
  readonly #entries = new Map<EntryId, SignedEntry>();
  readonly #issuedBy = new Map<EntryId, number>();
  /** Digests of the bytes of entries that are here: what comes again is known before it is read. */
  readonly #seen = new Set<Digest>();
  #sorted: readonly SignedEntry[] | null = null;
  #standing: Standing | null = null;
  #summary: RosterSummary | null = null;

  /** An empty roster of a mesh; the founding grant comes with the first merge. */
  constructor(mesh: MeshId) {
    this.mesh = mesh;
  }

  /** The roster of the mesh that a founding grant makes. */
  static founded(founding: SignedEntry): Roster {
    assert(isFounding(founding.entry), "a founding grant makes a mesh");
    const roster = new Roster(founding.id);
    roster.#add(founding);
    return roster;
  }

  /** Entries in the order of their ids. */
  entries(): readonly SignedEntry[] {
    return (this.#sorted ??= [...this.#entries.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1)));
  }

  has(id: EntryId): boolean {
    return this.#entries.has(id);
  }

  /** Some 32 bytes an entry; the same object until an entry is added. */
  summary(): RosterSummary {
    return (this.#summary ??= summaryOf(this.entries()));
  }

  /** The entries, as bytes, that a roster with this summary lacks. A summary from outside that has no such form lacks all. */
  missing(summary: unknown): readonly Uint8Array[] {
    const theirs = idsOf(summary);
    return this.entries()
      .filter(({ id }) => !theirs.has(hexOf(id)))
      .map(({ bytes }) => bytes);
  }

  /**
   * Takes entries as bytes, in any order, from anybody: each must be of this mesh, signed by its issuer, and name as its authority
   * an admin's grant of that issuer that is here or comes along. What is known costs no signature check. Throws nothing.
   */
  merge(entries: unknown, signatures: Signatures): MergeReport {
    return this.#merge(entries, (entry) => entry.isSigned(signatures));
  }

  /** As `merge`, without checking signatures: for what this machine checked before and kept where nobody else can write. */
  restore(entries: unknown): MergeReport {
    return this.#merge(entries, () => true);
  }

  /** What a machine is to the mesh at a time. */
  verdict(node: PeerId, nowMs: number): Verdict {
    const standing = this.#worked().nodes.get(node);
    return standing === undefined ? { kind: "unknown" } : verdictOf(standing, nowMs);
  }

  /** All machines that have ever been members, by id. */
  members(nowMs: number): readonly Member[] {
    return [...this.#worked().nodes]
      .map(([id, standing]) => ({ id, verdict: verdictOf(standing, nowMs) }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The machine of this unique name that is in force, or null. An expired one still has its name. */
  byName(name: string): PeerId | null {
    for (const [id, { name: its, grants }] of this.#worked().nodes) if (its === name && grants.length > 0) return id;
    return null;
  }

  #worked(): Standing {
    return (this.#standing ??= standingOf(this.#entries));
  }

  #merge(entries: unknown, isSigned: (entry: UncheckedEntry) => boolean): MergeReport {
    const added: SignedEntry[] = [];
    const refused = new Map<RefusalReason, number>();
    const refuse = (reason: RefusalReason, count = 1) => refused.set(reason, (refused.get(reason) ?? 0) + count);
    /** Entries whose authority has not come yet, by its id. */
    const waiting = new Map<EntryId, UncheckedEntry[]>();

    const offered = Array.isArray(entries) ? entries.slice(0, LIMITS.rosterEntries) : [];
    if (!Array.isArray(entries)) refuse("malformed");
    else if (entries.length > offered.length) refuse("full", entries.length - offered.length);
    for (const bytes of offered as readonly unknown[]) {
      if (bytes instanceof Uint8Array && this.#seen.has(digestOf(bytes))) continue;
      const ready: UncheckedEntry[] = [];
      const entry = bytes instanceof Uint8Array ? readEntry(bytes) : null;
      if (entry === null) refuse("malformed");
      else ready.push(entry);
      for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
        if (this.#entries.has(next.id)) continue;
        const { authority } = next.entry;
        if (authority !== null && !this.#entries.has(authority) && next.entry.mesh === this.mesh) {
          const others = waiting.get(authority);
          if (others === undefined) waiting.set(authority, [next]);
          else others.push(next);
          continue;
        }
        const reason = this.#refusalOf(next) ?? (isSigned(next) ? null : "signature");
        if (reason !== null) {
          refuse(reason);
          continue;
        }
        const { id, entry: content, bytes: kept } = next;
        added.push({ id, entry: content, bytes: kept });
        this.#add({ id, entry: content, bytes: kept });
        ready.push(...(waiting.get(id) ?? []));
        waiting.delete(id);
      }
    }
    for (const list of waiting.values()) refuse("authority", list.length);
    return { added, refused };
  }

  #refusalOf({ id, entry }: UncheckedEntry): RefusalReason | null {
    if (isFounding(entry) ? id !== this.mesh : entry.mesh !== this.mesh) return "foreign";
    if (entry.authority === null) return null;
    const authority = this.#entries.get(entry.authority)?.entry;
    if (authority?.kind !== "grant" || authority.node !== entry.issuer) return "authority";
    if (!authority.roles.includes("admin") && !isPlainLeave(entry)) return "authority";
    // Revocations have room of their own: an admin that floods the roster with grants can still be revoked.
    const most = entry.kind === "grant" ? LIMITS.rosterEntries / 2 : LIMITS.rosterEntries;
    const isFull =
      this.#entries.size >= most || (this.#issuedBy.get(entry.authority) ?? 0) >= LIMITS.rosterPerAuthority;
    return isFull ? "full" : null;
  }

  #add(signed: SignedEntry): void {
    this.#entries.set(signed.id, signed);
    const { authority } = signed.entry;
    if (authority !== null) this.#issuedBy.set(authority, (this.#issuedBy.get(authority) ?? 0) + 1);
    this.#seen.add(digestOf(signed.bytes));
    this.#sorted = null;
    this.#standing = null;
    this.#summary = null;
  }
}

function verdictOf({ name, grants }: NodeStanding, nowMs: number): Verdict {
  const current = grants.find(({ entry }) => entry.expiresAtMs === null || nowMs < entry.expiresAtMs);
  if (current !== undefined) {
    const { roles, expiresAtMs } = current.entry;
    return { kind: "member", name, roles, expiresAtMs, grant: current.id };
  }
  if (grants.length === 0) return { kind: "revoked", name };
  return { kind: "expired", name, expiredAtMs: Math.max(...grants.map(({ entry }) => entry.expiresAtMs ?? 0)) };
}

function summaryOf(entries: readonly SignedEntry[]): RosterSummary {
  const ids = Uint8Array.fromHex(entries.map(({ id }) => hexOf(id)).join(""));
  return { root: digestOf(ids), ids };
}

function idsOf(summary: unknown): ReadonlySet<string> {
  const none = new Set<string>();
  if (typeof summary !== "object" || summary === null || !("ids" in summary)) return none;
  const { ids } = summary;
  if (!(ids instanceof Uint8Array) || ids.length % 32 !== 0 || ids.length > LIMITS.rosterEntries * 32) return none;
  const hex = ids.toHex();
  for (let at = 0; at < hex.length; at += 64) none.add(hex.slice(at, at + 64));
  return none;
}
