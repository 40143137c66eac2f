// An artifact as one task finds it: where it lies, what of it the task's filter leaves, and what of that enters the key.

import { join } from "node:path";
import { type Digest, digestOf, hexOf } from "../base/digest.ts";
import type { TaskPaths } from "../exec/backend.ts";
import type { Filter } from "../store/filter.ts";
import type { Store } from "../store/io/store.ts";
import { EMPTY_TREE } from "../store/layer.ts";
import type { Artifact } from "../store/result.ts";

export interface ArtifactInput {
  readonly artifact: Artifact;
  /** Where the task finds it. It follows from what counts, since it becomes part of scripts. */
  readonly path: string;
  /** What of it counts. */
  readonly identity: Digest;
  /** What of a directory is there; null for all of it. */
  readonly filter: Filter | null;
  /** False when the filter hides all of it. */
  readonly isThere: boolean;
}

/** The whole artifact. */
export function wholeArtifact(artifact: Artifact, paths: TaskPaths): ArtifactInput {
  const identity = identityOf(artifact);
  return { artifact, path: pathOf(identity, artifact, paths), identity, filter: null, isThere: true };
}

/** What a filter leaves of an artifact. A file is matched by its name. */
export function narrowedArtifact(artifact: Artifact, filter: Filter, paths: TaskPaths, store: Store): ArtifactInput {
  if (artifact.kind === "directory") {
    const { keyDigest, keptCount } = store.artifacts.view(artifact, filter);
    const identity = digestOf(`${artifact.key} ${keyDigest}`);
    return { artifact, path: pathOf(identity, artifact, paths), identity, filter, isThere: keptCount > 0 };
  }
  const decision = filter.decide(artifact.name, false);
  const identity = decision === "kept" ? identityOf(artifact) : digestOf(`${artifact.key} ${EMPTY_TREE}`);
  return { artifact, path: pathOf(identity, artifact, paths), identity, filter: null, isThere: decision !== "hidden" };
}

// Whether a file can be run is part of what it is; a directory's tree holds the permissions in it.
function identityOf({ digest, kind, mode }: Artifact): Digest {
  if (kind === "directory" || (mode & 0o111) === 0) return digest;
  return digestOf(`${digest} ${(mode & 0o777).toString(8)}`);
}

function pathOf(identity: Digest, { name }: Artifact, paths: TaskPaths): string {
  return join(paths.artifactFolder(hexOf(identity)), name);
}
