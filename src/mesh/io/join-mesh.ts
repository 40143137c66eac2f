// How a machine comes into a mesh: it makes one, or joins one by a code. What it leaves is on disk; `openMesh` does the rest.

import { fail, MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { systemRandom } from "../../base/io/system.ts";
import { acceptAnswer } from "../admission.ts";
import { peerIdOfCertificate } from "../certificate.ts";
import type { MeshId } from "../grant.ts";
import type { Identity } from "../identity.ts";
import { type InviteCode, parseInviteCode } from "../invite-code.ts";
import { foundMesh } from "../issue.ts";
import { nodeNameFrom } from "../node-name.ts";
import { PairingJoiner } from "../pairing.ts";
import type { PairingRefusal } from "../pairing-message.ts";
import type { Address } from "../peer-view.ts";
import { Roster } from "../roster.ts";
import type { Role } from "../roles.ts";
import { saveAddresses } from "./addresses-file.ts";
import { MeshFinder } from "./find-meshes.ts";
import { ensureIdentity } from "./identity-file.ts";
import { lockMesh } from "./mesh-lock.ts";
import { nativeSignatures } from "./native-signatures.ts";
import { PairingSocket } from "./pairing-socket.ts";
import { readMachineTraits } from "./read-traits.ts";
import { loadRoster, saveRoster } from "./roster-file.ts";
import { dialTls } from "./tls.ts";

export interface Joined {
  readonly mesh: MeshId;
  readonly self: PeerId;
  /** As the roster has it: the wished name may have been taken. */
  readonly name: string;
  readonly roles: readonly Role[];
}

/** Makes a mesh of this machine alone, with all roles. `name` is made fit. Throws `mesh.already-a-member`, `node.already-running`. */
export function initMesh(folder: string, name: string): Joined {
  using _ = lockMesh(folder);
  const identity = freshIdentity(folder);
  const occasion = { nowMs: Date.now(), serial: systemRandom.bytes(16) };
  const roster = Roster.founded(foundMesh(identity, nodeNameFrom(name), occasion));
  saveRoster(folder, roster);
  return joinedOf(roster, identity);
}

export interface JoinOptions {
  /** `$MESH_HOME/mesh`. */
  readonly folder: string;
  /** As it was typed. */
  readonly code: string;
  /** The name that is wished for; it is made fit. */
  readonly name: string;
  /** null: whatever the code gives. */
  readonly roles: readonly Role[] | null;
  /** Where a machine of the mesh listens; null: whoever announces on the network that it waits for somebody. */
  readonly address: Address | null;
  /** How long to look for a mesh when no address is given. */
  readonly findMs?: number;
  readonly signal: AbortSignal;
}

const FIND_MS = 5_000;
/** How much longer others are looked for when one has refused the code: they answer to the same question at the same time. */
const AFTER_REFUSAL_MS = 1_000;

/**
 * Joins a mesh. Throws `usage.invalid` for what is no code, `mesh.code-refused`, `mesh.not-found`, `mesh.already-a-member`,
 * `peer.unreachable`, `peer.misbehaved`, `node.already-running`, and the signal's reason.
 */
export async function joinMesh(options: JoinOptions): Promise<Joined> {
  const code = readCode(options.code);
  using _ = lockMesh(options.folder);
  const identity = freshIdentity(options.folder);
  if (options.address !== null) return await joinAt([options.address], { ...options, identity, code });
  return await joinFound({ ...options, identity, code });
}

interface Attempt extends Omit<JoinOptions, "code"> {
  readonly identity: Identity;
  readonly code: InviteCode;
}

/** Tries the machines that wait for somebody, as they are found. */
async function joinFound(attempt: Attempt): Promise<Joined> {
  const { signal, findMs = FIND_MS } = attempt;
  let wake = Promise.withResolvers<void>();
  await using finder = await MeshFinder.open(() => wake.resolve());
  let timer = setTimeout(() => wake.resolve(), findMs);
  let endsAtMs = performance.now() + findMs;
  const onAbort = () => wake.resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  const tried = new Set<PeerId>();
  let refusal: unknown = null;
  try {
    for (;;) {
      signal.throwIfAborted();
      const waiting = finder.found.flatMap(({ machines }) => machines).filter(({ inviteOpen }) => inviteOpen);
      const next = waiting.find(({ peer }) => !tried.has(peer));
      if (next !== undefined) {
        tried.add(next.peer);
        // Another one may have given the code: a wrong slot costs it nothing.
        const joined = await joinAt(next.addresses, attempt).catch((error: unknown) => error);
        if (!(joined instanceof Error)) return joined as Joined;
        refusal = joined;
        endsAtMs = Math.min(endsAtMs, performance.now() + AFTER_REFUSAL_MS);
        clearTimeout(timer);
        timer = setTimeout(() => wake.resolve(), endsAtMs - performance.now());
        continue;
      }
      if (performance.now() >= endsAtMs) break;
      await wake.promise;
      wake = Promise.withResolvers();
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
  if (refusal instanceof Error) throw refusal;
  const faults = finder.faults.length === 0 ? "" : ` (${finder.faults.join("; ")})`;
  return fail("mesh.not-found", `Found no machine on the network that waits for somebody with a code${faults}`);
}

/** Tries the addresses of one machine in turn; only one that is not reached leads to the next. */
async function joinAt(addresses: readonly Address[], attempt: Attempt): Promise<Joined> {
  let failure: unknown;
  for (const address of addresses) {
    try {
      return await pairAt(address, attempt);
    } catch (error) {
      attempt.signal.throwIfAborted();
      if (!(error instanceof MeshError) || error.code !== "peer.unreachable") throw error;
      failure ??= error;
    }
  }
  throw failure;
}

async function pairAt(address: Address, attempt: Attempt): Promise<Joined> {
  const { folder, code, name, roles, identity, signal } = attempt;
  const expect = (certificate: Uint8Array) => peerIdOfCertificate(certificate) !== null;
  const socket = await dialTls({ identity, address, purpose: "join", expect, signal });
  const inviter = peerIdOfCertificate(socket.certificate);
  if (inviter === null) return fail("peer.misbehaved", "Cannot join: the other machine has shown no identity");
  using pairing = new PairingSocket(socket);
  const channel = socket.pairingChannel(identity.id, inviter);
  const joiner = new PairingJoiner(code, channel, { name: nodeNameFrom(name), roles }, systemRandom);
  pairing.send(joiner.start());
  for (;;) {
    signal.throwIfAborted();
    const step = joiner.receive(await pairing.next());
    if (step.kind === "send") {
      pairing.send(step.bytes);
      continue;
    }
    if (step.kind === "refused") return refused(step.reason);
    const roster = acceptAnswer(step.answer, { self: identity.id, inviter }, nativeSignatures);
    saveRoster(folder, roster);
    saveAddresses(folder, [{ peer: inviter, addresses: [address] }]);
    return joinedOf(roster, identity);
  }
}

function refused(reason: PairingRefusal): never {
  switch (reason) {
    case "code":
      return fail("mesh.code-refused", "Cannot join: the code is wrong, or not good any more");
    case "too-many":
      return fail("mesh.code-refused", "Cannot join: too many codes were tried lately", {
        hint: "Try again in a minute.",
      });
    case "addresses":
      return fail("mesh.code-refused", "Cannot join: something between the two machines changes their addresses", {
        hint: "Join from the same network, without address translation between.",
      });
    case "roles":
      return fail("mesh.code-refused", "Cannot join: the code does not give those roles");
    case "denied":
      return fail("mesh.code-refused", "Cannot join: the other machine could not let this one in");
    case "misbehaved":
      return fail("peer.misbehaved", "Cannot join: the other machine does not keep to the form of a pairing");
  }
}

function readCode(typed: string): InviteCode {
  const parsed = parseInviteCode(typed);
  if (parsed.kind === "code") return parsed.code;
  // The text is a secret: it is not quoted.
  if (parsed.kind === "mistyped") return fail("usage.invalid", "The code was mistyped: no code is written so");
  return fail("usage.invalid", "That is no code: one looks like k7q-m2x-dn4");
}

/** The identity of a machine that belongs to no mesh. */
function freshIdentity(folder: string): Identity {
  const identity = ensureIdentity({ folder, traits: readMachineTraits() }, systemRandom);
  const roster = loadRoster(folder);
  if (roster?.verdict(identity.id, Date.now()).kind === "member")
    fail("mesh.already-a-member", `This machine is a member of a mesh already (${folder})`);
  return identity;
}

function joinedOf(roster: Roster, identity: Identity): Joined {
  const verdict = roster.verdict(identity.id, Date.now());
  const isMember = verdict.kind === "member";
  return {
    mesh: roster.mesh,
    self: identity.id,
    name: verdict.kind === "unknown" ? "" : verdict.name,
    roles: isMember ? verdict.roles : [],
  };
}
