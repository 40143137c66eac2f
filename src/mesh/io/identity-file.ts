// The machine's identity on disk: made once, kept in `identity.json` of the mesh's folder, bound to the machine it was made on.
// It never hands out the seed, and never writes it anywhere else.

import { join } from "node:path";
import { fail } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import type { Random } from "../../base/ports.ts";
import { sentenceList } from "../../base/text.ts";
import { KEY_BYTES } from "../certificate.ts";
import { type Identity, identityOf } from "../identity.ts";
import {
  compareTraits,
  type MachineTraits,
  parseSealedTraits,
  type SealedTraits,
  sealTraits,
} from "../machine-traits.ts";
import { nativeSignatures } from "./native-signatures.ts";
import {
  createPrivateFile,
  ensurePrivateFolder,
  readPrivateFile,
  removePrivateFile,
  replacePrivateFile,
} from "./private-files.ts";

export interface IdentityPlace {
  /** `$MESH_HOME/mesh`. */
  readonly folder: string;
  /** What this machine is known by: `readMachineTraits()`. */
  readonly traits: MachineTraits;
}

/**
 * The identity of this machine; null when it has none yet. Throws `mesh.identity-copied` when it was made on another machine,
 * `mesh.state-exposed` when others can read it, `mesh.state-corrupt` when it cannot be read.
 */
export function loadIdentity(place: IdentityPlace): Identity | null {
  const kept = readKept(place.folder);
  if (kept === null) return null;
  const comparison = compareTraits(kept.traits, sealTraits(place.traits, kept.salt));
  const identity = identityOf(kept.seed, nativeSignatures);
  if (identity.id !== kept.id)
    fail("mesh.state-corrupt", `Cannot use ${pathIn(place.folder)}: its parts do not belong together`);
  if (!comparison.same) {
    const others = sentenceList(comparison.differing);
    const same =
      comparison.matching.length === 0 ? "" : `, though it has the same ${sentenceList(comparison.matching)}`;
    fail(
      "mesh.identity-copied",
      `Cannot use the identity in ${pathIn(place.folder)}: it was made on a machine with another ${others}${same}`,
    );
  }
  return identity;
}

/** The identity of this machine, made when it has none; two that make it at once get the same one. Throws as `loadIdentity` does. */
export function ensureIdentity(place: IdentityPlace, random: Random): Identity {
  ensurePrivateFolder(place.folder);
  const found = loadIdentity(place);
  if (found !== null) return found;
  createPrivateFile(pathIn(place.folder), keptBytes(random.bytes(KEY_BYTES), random.bytes(SALT_BYTES), place.traits));
  return (
    loadIdentity(place) ?? fail("mesh.state-corrupt", `Cannot find ${pathIn(place.folder)}, which was just written`)
  );
}

/** Binds the identity to the machine as it is today: for one that got new parts, on its owner's word. Throws as `loadIdentity` does, but for the copy. */
export function rebindIdentity(place: IdentityPlace, random: Random): void {
  const kept = readKept(place.folder);
  if (kept === null) return;
  replacePrivateFile(pathIn(place.folder), keptBytes(kept.seed, random.bytes(SALT_BYTES), place.traits));
}

/** Removes the identity: the next one is another machine to every mesh. */
export function forgetIdentity(folder: string): void {
  removePrivateFile(pathIn(folder));
}

const SALT_BYTES = 16;

interface Kept {
  readonly id: string;
  readonly seed: Uint8Array;
  readonly salt: Uint8Array;
  readonly traits: SealedTraits;
}

function pathIn(folder: string): string {
  return join(folder, "identity.json");
}

function keptBytes(seed: Uint8Array, salt: Uint8Array, traits: MachineTraits): Uint8Array {
  const { id } = identityOf(seed, nativeSignatures);
  const file = { version: 1, id, seed: seed.toHex(), salt: salt.toHex(), traits: sealTraits(traits, salt) };
  return new TextEncoder().encode(`${JSON.stringify(file)}\n`);
}

function readKept(folder: string): Kept | null {
  const path = pathIn(folder);
  const bytes = readPrivateFile(path, LIMITS.identityFileBytes);
  if (bytes === null) return null;
  const kept = parseKept(new TextDecoder().decode(bytes));
  return kept ?? fail("mesh.state-corrupt", `Cannot read the identity in ${path}`);
}

/** null when it has not the form that was written. Its text is never part of an error: it holds the seed. */
function parseKept(text: string): Kept | null {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof file !== "object" || file === null) return null;
  const { version, id, seed, salt, traits } = file as Readonly<Record<string, unknown>>;
  const sealed = parseSealedTraits(traits);
  if (version !== 1 || typeof id !== "string" || sealed === null) return null;
  if (typeof seed !== "string" || !/^[0-9a-f]{64}$/.test(seed)) return null;
  if (typeof salt !== "string" || !/^[0-9a-f]{32}$/.test(salt)) return null;
  return { id, seed: Uint8Array.fromHex(seed), salt: Uint8Array.fromHex(salt), traits: sealed };
}
