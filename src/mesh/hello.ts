// The first frame in each direction: who can speak what. Whatever else changes between versions, this form stays, so that two
// machines that cannot work together can always say which of them must be updated.

import { MeshError } from "../base/errors.ts";
import { plainText } from "./remote-error.ts";

/** Versions of the protocol: the range that a program speaks. */
export interface ProtocolRange {
  readonly least: number;
  readonly most: number;
}

/** What this program speaks. */
export const PROTOCOL: ProtocolRange = { least: 1, most: 1 };

export interface Hello {
  readonly protocol: ProtocolRange;
  /** The program's version, for people. */
  readonly version: string;
  /** Drawn anew at each start of a program: tells a restarted machine from one that was there all the time. */
  readonly instance: string;
}

const INSTANCE = /^[0-9a-f]{16,64}$/;

/** Reads a peer's hello; fields that it does not know are passed over. Throws `peer.misbehaved`. */
export function parseHello(value: unknown): Hello {
  const { least, most, version, instance } = (value ?? {}) as Record<string, unknown>;
  const isRange = isCount(least) && isCount(most) && least <= most;
  if (!isRange || typeof version !== "string" || typeof instance !== "string" || !INSTANCE.test(instance))
    throw new MeshError("peer.misbehaved", "Cannot read a peer's hello: its fields are not as they must be");
  return { protocol: { least, most }, version: plainText(version, 64), instance };
}

/** The hello as it is sent. */
export function helloValue({ protocol, version, instance }: Hello): unknown {
  return { ...protocol, version, instance };
}

/** The protocol that two machines speak with each other. Throws `peer.version`, which says who must be updated. */
export function agreeProtocol(ours: Hello, theirs: Hello, peerName: string): number {
  const most = Math.min(ours.protocol.most, theirs.protocol.most);
  if (most >= ours.protocol.least && most >= theirs.protocol.least) return most;
  const isOursOlder = ours.protocol.most < theirs.protocol.least;
  const older = isOursOlder ? `this machine (mesh ${ours.version})` : `${peerName} (mesh ${theirs.version})`;
  throw new MeshError(
    "peer.version",
    `Cannot speak with ${peerName}: it speaks protocol ${rangeText(theirs.protocol)}, this machine ${rangeText(ours.protocol)}; ` +
      `${older} must be updated`,
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function rangeText({ least, most }: ProtocolRange): string {
  return least === most ? String(least) : `${least} to ${most}`;
}
