// What both sides do with a pairing that went well: the inviter makes a member of the other one, the joiner checks what it was given.

import { fail } from "../base/errors.ts";
import type { PeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import type { SignedEntry } from "./grant.ts";
import type { Identity } from "./identity.ts";
import type { Invitation } from "./invite-book.ts";
import { issueGrant, type Occasion } from "./issue.ts";
import type { JoinAnswer, JoinWish } from "./pairing-message.ts";
import type { Role } from "./roles.ts";
import { Roster } from "./roster.ts";
import type { Signatures } from "./signatures.ts";

/**
 * Makes a member of the machine that paired, under the name it wished for or the next that is free, and gives what it has to be
 * told. `roster` has the grant then; saving it and telling the others is the caller's. Throws as `issueGrant` does.
 */
export function admitJoiner(
  roster: Roster,
  identity: Identity,
  joiner: {
    readonly node: PeerId;
    readonly wish: JoinWish & { readonly roles: readonly Role[] };
    readonly invitation: Invitation;
  },
  occasion: Occasion,
): JoinAnswer {
  const { node, wish, invitation } = joiner;
  const expiresAtMs = wish.roles.includes("admin") ? null : invitation.memberUntilMs;
  const grant = issueGrant(roster, identity, { node, name: wish.name, roles: wish.roles, expiresAtMs }, occasion);
  roster.restore([grant.bytes]);
  return { mesh: roster.mesh, grant: grant.id, entries: entriesFor(roster, grant) };
}

/**
 * The roster that a joiner was given. Throws `peer.misbehaved` when it does not make this machine a member by the word of the one
 * that it paired with.
 */
export function acceptAnswer(
  answer: JoinAnswer,
  parties: { readonly self: PeerId; readonly inviter: PeerId },
  signatures: Signatures,
): Roster {
  const roster = new Roster(answer.mesh);
  const { refused } = roster.merge(answer.entries, signatures);
  const grant = roster.entries().find(({ id }) => id === answer.grant)?.entry;
  const isOurs = grant?.kind === "grant" && grant.node === parties.self && grant.issuer === parties.inviter;
  // At the time of the grant: this machine's clock may be off, and says nothing of whether the answer is honest.
  const kind = isOurs
    ? roster.verdict(parties.self, Math.min(grant.issuedAtMs, (grant.expiresAtMs ?? Infinity) - 1)).kind
    : "unknown";
  if (refused.size === 0 && kind === "member") return roster;
  return fail("peer.misbehaved", `Cannot join: ${parties.inviter} gave a roster in which this machine is no member`);
}

/** The whole roster, or, where that is too much for one message, the grant's own chain and what else fits: the rest comes by gossip. */
function entriesFor(roster: Roster, grant: SignedEntry): readonly Uint8Array[] {
  const all = roster.entries();
  const byId = new Map(all.map((signed) => [signed.id, signed]));
  const chain: SignedEntry[] = [];
  for (let at: SignedEntry | undefined = byId.get(grant.id); at !== undefined;) {
    chain.push(at);
    at = at.entry.authority === null ? undefined : byId.get(at.entry.authority);
  }
  const inChain = new Set(chain.map(({ id }) => id));
  let room = LIMITS.pairingMessageBytes / 2;
  // An entry that comes without its authority would be refused: those of the founder go first.
  const depth = (signed: SignedEntry) =>
    signed.entry.authority === null || inChain.has(signed.entry.authority) ? 0 : 1;
  const rest = all.filter(({ id }) => !inChain.has(id)).toSorted((a, b) => depth(a) - depth(b));
  const total = all.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const chosen =
    total <= room ? rest : rest.filter((signed) => depth(signed) === 0 && (room -= signed.bytes.length) > 0);
  return [...chain, ...chosen].map(({ bytes }) => bytes);
}
