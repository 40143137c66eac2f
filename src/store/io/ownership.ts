// Who owns the files of the store's layers: how owners on disk and inside contexts answer to one another, and who does the work
// on files that this process may not touch. It does none of it.

import { MeshError, errnoOf } from "../../base/errors.ts";
import type { Digest } from "../../base/digest.ts";
import { type IdMaps, IDENTITY_IDS, singleId } from "../ids.ts";
import type { MaskParent } from "../merged.ts";
import type { Artifact } from "../result.ts";
import type { FilterEntry } from "../filter.ts";

/** Work on files of owners that exist only in the user namespace of contexts. What crosses to the process there is this, as JSON. */
export type ForeignJob =
  | { readonly kind: "commit"; readonly upper: string; readonly maskedDirectories: readonly string[] }
  | { readonly kind: "list"; readonly directory: string }
  | { readonly kind: "remove"; readonly paths: readonly string[] }
  | { readonly kind: "flatten"; readonly digests: readonly Digest[] }
  | { readonly kind: "verify"; readonly digest: Digest }
  | { readonly kind: "dress"; readonly directory: string; readonly digest: Digest }
  | { readonly kind: "mask"; readonly hidden: readonly string[]; readonly parents: readonly MaskParent[] }
  | {
      readonly kind: "capture";
      readonly key: string;
      readonly stack: readonly string[];
      readonly path: string;
      readonly immutable: boolean;
    }
  | { readonly kind: "narrow"; readonly artifact: Artifact; readonly filter: readonly FilterEntry[] }
  | { readonly kind: "materialize"; readonly artifact: Artifact; readonly target: string };

/** Names of the maps under which layers were made, as the index records them. */
export interface MapNames {
  /** Of the maps in force. */
  readonly mapped: string;
  /** Of the maps of a user who is root inside and nobody else: layers in which root owns all mean the same under both. */
  readonly plain: string;
}

export interface Ownership {
  ids(): IdMaps;
  names(): MapNames;
  /** Has a job done by a process that has the ids of contexts; null where there is none, or this process has them. */
  readonly perform: ((job: ForeignJob) => Promise<unknown>) | null;
}

/** Root's ids are themselves inside; an ordinary user is root inside, and alone. */
export function ownFiles(): Ownership {
  const ids = defaultIds();
  const name = nameOf(ids);
  return { ids: () => ids, names: () => ({ mapped: name, plain: name }), perform: null };
}

/** Root's ids are themselves inside; an ordinary user is root inside. */
export function defaultIds(): IdMaps {
  const uid = process.geteuid?.() ?? 0;
  return uid === 0 ? IDENTITY_IDS : singleId(uid, process.getegid?.() ?? 0);
}

/** The name of these maps. */
export function nameOf(ids: IdMaps): string {
  return JSON.stringify(ids);
}

/** Whether a layer was made under the maps in force. Under others its owners on disk mean something else: it counts as none. */
export function isOf(ownership: Ownership, name: string): boolean {
  const { mapped, plain } = ownership.names();
  return name === mapped || name === plain;
}

/** Whether an error says that the owner of a file has to do what was tried. */
export function isRefusal(error: unknown): boolean {
  const code = errnoOf(error);
  if (code === "EACCES" || code === "EPERM") return true;
  return error instanceof MeshError && error.cause !== undefined && isRefusal(error.cause);
}
