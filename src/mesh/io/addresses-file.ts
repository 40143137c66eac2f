// Addresses of other machines that are worth trying at the next start: `addresses.json` of the mesh's folder. A memory, not a fact:
// when it cannot be read there is none.

import { join } from "node:path";
import { type PeerId, parsePeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import { readAddress } from "../address.ts";
import type { Address } from "../peer-view.ts";
import { ensurePrivateFolder, readPrivateFile, removePrivateFile, replacePrivateFile } from "./private-files.ts";

export interface RememberedPeer {
  readonly peer: PeerId;
  /** The most promising first. */
  readonly addresses: readonly Address[];
}

/** What was remembered; empty when nothing was, or it cannot be read. Throws `mesh.state-exposed`. */
export function loadAddresses(folder: string): readonly RememberedPeer[] {
  const bytes = readPrivateFile(pathIn(folder), LIMITS.addressesFileBytes);
  if (bytes === null) return [];
  try {
    return read(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return []; // Damaged: they are found again.
  }
}

/** Remembers these in place of what was remembered, at once. */
export function saveAddresses(folder: string, peers: readonly RememberedPeer[]): void {
  ensurePrivateFolder(folder);
  const kept = peers.slice(0, LIMITS.peers).map(({ peer, addresses }) => ({
    peer,
    addresses: addresses.slice(0, LIMITS.peerAddresses),
  }));
  replacePrivateFile(pathIn(folder), new TextEncoder().encode(`${JSON.stringify({ version: 1, peers: kept })}\n`));
}

export function forgetAddresses(folder: string): void {
  removePrivateFile(pathIn(folder));
}

function pathIn(folder: string): string {
  return join(folder, "addresses.json");
}

function read(value: unknown): readonly RememberedPeer[] {
  const { version, peers } = value as { readonly version?: unknown; readonly peers?: unknown };
  if (version !== 1 || !Array.isArray(peers)) return [];
  return peers.slice(0, LIMITS.peers).flatMap((entry: unknown): readonly RememberedPeer[] => {
    const { peer: id, addresses } = entry as { readonly peer?: unknown; readonly addresses?: unknown };
    const peer = typeof id === "string" ? parsePeerId(id) : null;
    if (peer === null || !Array.isArray(addresses)) return [];
    const known = addresses
      .slice(0, LIMITS.peerAddresses)
      .map(readAddress)
      .filter((address) => address !== null);
    return [{ peer, addresses: known }];
  });
}
