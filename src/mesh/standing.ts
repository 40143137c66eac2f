// Which entries of a roster count, and what each machine is by them. A function of the set alone: no order, no clock decides.
//
// Every entry names the grant by whose authority it was issued, so that entries form a tree under the founding grant. A grant's
// depth is its distance from there; an entry's level is the depth of its authority.
// - A revocation hits the grants of its machine, but for those that overrule it. What was issued by a grant that is hit is void,
//   unless the revocation honours it: that is how a revoked admin cannot issue "earlier" entries afterwards.
// - Where two admins revoke each other, the one nearer to the founder is right. Of two on one level both are out: had one to win,
//   a revoked admin could get itself back in by a revocation with luckier bytes.

import { type PeerId, shortPeer } from "../base/ids.ts";
import { type EntryId, type Grant, isPlainLeave, type Revocation, type SignedEntry } from "./grant.ts";
import { distinctName } from "./node-name.ts";

export interface Standing {
  /** Machines that have ever had a grant that counts. */
  readonly nodes: ReadonlyMap<PeerId, NodeStanding>;
}

export interface NodeStanding {
  /** Unique among machines that are in force; the last one for a machine that is revoked. */
  readonly name: string;
  /** Grants in force, the one that goes first in front; none when it is revoked. */
  readonly grants: readonly SignedEntry<Grant>[];
}

/** Works out the standing of all. Every entry's authority must be among the entries, be a grant, and be of the entry's issuer. */
export function standingOf(entries: ReadonlyMap<EntryId, SignedEntry>): Standing {
  const grants = sortedById(entries, isGrant);
  const depths = new Map<EntryId, number>();
  for (const grant of grants) depthOf(grant, entries, depths);
  const levelOf = (signed: SignedEntry) =>
    signed.entry.authority === null ? -1 : (depths.get(signed.entry.authority) ?? 0);

  const counted = countedRevocations(sortedById(entries, isRevocation), entries, levelOf);
  const counts = soundness(entries, counted);
  const byNode = new Map<PeerId, SignedEntry<Grant>[]>();
  for (const grant of grants) {
    if (!counts(grant)) continue;
    const list = byNode.get(grant.entry.node);
    if (list === undefined) byNode.set(grant.entry.node, [grant]);
    else list.push(grant);
  }
  const inForce = new Map<PeerId, readonly SignedEntry<Grant>[]>();
  for (const [node, list] of byNode) {
    const replaced = replacedIn(list, levelOf);
    const current = list.filter((grant) => !replaced.has(grant.id) && hits(grant, counted).length === 0);
    inForce.set(node, current);
  }
  return { nodes: named(byNode, inForce) };
}

/** Revocations that count, by machine. */
type Counted = Map<PeerId, SignedEntry<Revocation>[]>;

function countedRevocations(
  revocations: readonly SignedEntry<Revocation>[],
  entries: ReadonlyMap<EntryId, SignedEntry>,
  levelOf: (signed: SignedEntry) => number,
): Counted {
  const counted: Counted = new Map();
  const levels = Map.groupBy(revocations, levelOf);
  for (const level of [...levels.keys()].toSorted((a, b) => a - b)) {
    const counts = soundness(entries, counted);
    // All of one level are judged by those above it, then added together.
    const sound = (levels.get(level) ?? []).filter((revocation) => counts(revocation));
    for (const revocation of sound) {
      const list = counted.get(revocation.entry.node);
      if (list === undefined) counted.set(revocation.entry.node, [revocation]);
      else list.push(revocation);
    }
  }
  return counted;
}

/** Whether an entry was rightly issued, given the revocations that count. */
function soundness(
  entries: ReadonlyMap<EntryId, SignedEntry>,
  counted: ReadonlyMap<PeerId, readonly SignedEntry<Revocation>[]>,
): (signed: SignedEntry) => boolean {
  const known = new Map<EntryId, boolean>();
  const hitBy = memoized((grant: SignedEntry<Grant>) => hits(grant, counted));
  const honoured = memoized((revocation: SignedEntry<Revocation>) => new Set(revocation.entry.honoured));
  const judge = (signed: SignedEntry): boolean => {
    // Down the tree first, without recursion: a chain may be as long as the roster.
    const path: SignedEntry[] = [];
    for (let at: SignedEntry | undefined = signed; at !== undefined && !known.has(at.id);) {
      path.push(at);
      at = at.entry.authority === null ? undefined : entries.get(at.entry.authority);
    }
    for (const each of path.reverse()) {
      const authority = each.entry.authority === null ? undefined : entries.get(each.entry.authority);
      const isSound =
        authority === undefined ||
        (known.get(authority.id) === true &&
          isGrant(authority) &&
          hitBy(authority).every((revocation) => honoured(revocation).has(each.id)));
      known.set(each.id, isSound);
    }
    return known.get(signed.id) === true;
  };
  return judge;
}

function hits(
  grant: SignedEntry<Grant>,
  counted: ReadonlyMap<PeerId, readonly SignedEntry<Revocation>[]>,
): readonly SignedEntry<Revocation>[] {
  const overrules = new Set(grant.entry.overrules);
  return (counted.get(grant.entry.node) ?? []).filter(
    ({ id, entry }) => !overrules.has(id) && (!isPlainLeave(entry) || entry.authority === grant.id),
  );
}

/** A grant takes the place of another of its machine when it says so and its issuer stands no lower than the other's. */
function replacedIn(
  grants: readonly SignedEntry<Grant>[],
  levelOf: (signed: SignedEntry) => number,
): ReadonlySet<EntryId> {
  const byId = new Map(grants.map((grant) => [grant.id, grant]));
  const replaced = new Set<EntryId>();
  for (const newer of grants) {
    for (const id of newer.entry.overrules) {
      const older = byId.get(id);
      if (older !== undefined && levelOf(newer) <= levelOf(older)) replaced.add(id);
    }
  }
  return replaced;
}

/** Gives each name to the machine whose grant comes first by digest; the others with that name get a part of their id with it. */
function named(
  byNode: ReadonlyMap<PeerId, readonly SignedEntry<Grant>[]>,
  inForce: ReadonlyMap<PeerId, readonly SignedEntry<Grant>[]>,
): ReadonlyMap<PeerId, NodeStanding> {
  const holders = new Map<string, SignedEntry<Grant>>();
  for (const [first] of inForce.values()) {
    if (first === undefined) continue;
    const holder = holders.get(first.entry.name);
    if (holder === undefined || first.id < holder.id) holders.set(first.entry.name, first);
  }
  const nodes = new Map<PeerId, NodeStanding>();
  for (const [node, grants] of inForce) {
    const [first] = grants;
    const name = first?.entry.name ?? byNode.get(node)?.[0]?.entry.name ?? shortPeer(node);
    const isHolder = first === undefined || holders.get(name)?.id === first.id;
    nodes.set(node, { name: isHolder ? name : distinctName(name, shortPeer(node)), grants });
  }
  return nodes;
}

/** The same answer for the same entry, worked out once. */
function memoized<S extends SignedEntry, T>(work: (signed: S) => T): (signed: S) => T {
  const known = new Map<EntryId, T>();
  return (signed) => {
    const before = known.get(signed.id);
    if (before !== undefined) return before;
    const value = work(signed);
    known.set(signed.id, value);
    return value;
  };
}

function depthOf(
  grant: SignedEntry<Grant>,
  entries: ReadonlyMap<EntryId, SignedEntry>,
  depths: Map<EntryId, number>,
): void {
  const path: EntryId[] = [];
  let at: SignedEntry | undefined = grant;
  while (at !== undefined && !depths.has(at.id)) {
    path.push(at.id);
    at = at.entry.authority === null ? undefined : entries.get(at.entry.authority);
  }
  let depth = at === undefined ? -1 : (depths.get(at.id) ?? 0);
  for (const id of path.reverse()) depths.set(id, ++depth);
}

function sortedById<E extends Grant | Revocation>(
  entries: ReadonlyMap<EntryId, SignedEntry>,
  isOne: (signed: SignedEntry) => signed is SignedEntry<E>,
): readonly SignedEntry<E>[] {
  return [...entries.values()].filter(isOne).toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

function isGrant(signed: SignedEntry): signed is SignedEntry<Grant> {
  return signed.entry.kind === "grant";
}

function isRevocation(signed: SignedEntry): signed is SignedEntry<Revocation> {
  return signed.entry.kind === "revocation";
}
