// The roster on disk: `roster.bin` of the mesh's folder, a SHA-256 checksum and canonical CBOR. Entries were checked before they
// were written and nobody else can write there, so that reading checks no signature.

import { join } from "node:path";
import { type Canonical, canonicalBytes, parseCanonical } from "../../base/canonical.ts";
import { digestFromHex, hexOf } from "../../base/digest.ts";
import { fail } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { Roster } from "../roster.ts";
import { ensurePrivateFolder, readPrivateFile, removePrivateFile, replacePrivateFile } from "./private-files.ts";

/** The roster that was saved in `$MESH_HOME/mesh`; null when there is none. Throws `mesh.state-exposed`, `mesh.state-corrupt`. */
export function loadRoster(folder: string): Roster | null {
  const path = pathIn(folder);
  const bytes = readPrivateFile(path, LIMITS.rosterFileBytes);
  if (bytes === null) return null;
  return parseRoster(bytes) ?? fail("mesh.state-corrupt", `Cannot read the mesh's roster in ${path}: it is damaged`);
}

/** Saves a roster, on disk when this returns. What another process saved meanwhile for the same mesh is kept: it becomes part of `roster` too. */
export function saveRoster(folder: string, roster: Roster): void {
  ensurePrivateFolder(folder);
  const saved = loadRoster(folder);
  if (saved?.mesh === roster.mesh) roster.restore(saved.missing(roster.summary()));
  const entries = roster.entries().map(({ bytes }) => bytes);
  const content = canonicalBytes([VERSION, Uint8Array.fromHex(hexOf(roster.mesh)), entries]);
  replacePrivateFile(pathIn(folder), Buffer.concat([checksumOf(content), content]));
}

/** Removes the roster: the machine belongs to no mesh, as far as it knows. */
export function forgetRoster(folder: string): void {
  removePrivateFile(pathIn(folder));
}

const VERSION = 1;
const CHECKSUM_BYTES = 32;

function pathIn(folder: string): string {
  return join(folder, "roster.bin");
}

function checksumOf(content: Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(content).digest();
}

function parseRoster(bytes: Uint8Array): Roster | null {
  const content = bytes.subarray(CHECKSUM_BYTES);
  if (Buffer.compare(checksumOf(content), bytes.subarray(0, CHECKSUM_BYTES)) !== 0) return null;
  const value: Canonical = parseCanonical(content);
  if (!Array.isArray(value)) return null;
  const [version, mesh, entries] = value as readonly Canonical[];
  if (version !== VERSION || !(mesh instanceof Uint8Array) || mesh.length !== 32) return null;
  const roster = new Roster(digestFromHex(mesh.toHex()));
  return roster.restore(entries).refused.size === 0 ? roster : null;
}
