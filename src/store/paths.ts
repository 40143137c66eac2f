// Names of places: the directories every task finds in its context, and the layout of MESH_HOME. It touches no disk.

import { type Digest, hexOf } from "../base/digest.ts";

/** Directories inside every task's context. */
export const CONTEXT = {
  /** The task's working directory; kept in layers. */
  workspace: "/workspace",
  /** HOME of the task; kept in layers. */
  home: "/root",
  /** A tmpfs that is never part of a layer; all of mesh's own mounts are below it. */
  mesh: "/mesh",
  /** The task's scratch folder: what it hands back is written here. */
  io: "/mesh/io",
  /** Artifacts of other tasks: `<in>/<digest12>/<name>`, read-only. */
  in: "/mesh/in",
  /** Folder of the run definition, read-only. */
  run: "/mesh/run",
} as const;

/** The workspace's path inside a tree: trees name paths from the context's root, without a leading slash. */
export const WORKSPACE_IN_TREE = "workspace";

/** Layout of one MESH_HOME. */
export interface HomePaths {
  readonly home: string;
  readonly index: string;
  readonly blobs: string;
  readonly layers: string;
  readonly masks: string;
  readonly scratch: string;
  readonly tmp: string;
  /** Content whose chunks are still arriving; made when first needed. */
  readonly partial: string;
  readonly runs: string;
}

/** Paths below `home`, which is absolute and has no trailing slash. */
export function homePaths(home: string): HomePaths {
  return {
    home,
    index: `${home}/index.sqlite`,
    blobs: `${home}/blobs`,
    layers: `${home}/layers`,
    masks: `${home}/masks`,
    scratch: `${home}/scratch`,
    tmp: `${home}/tmp`,
    partial: `${home}/partial`,
    runs: `${home}/runs`,
  };
}

/** Path of a blob's file: two hex digits of fan-out, then the whole digest. */
export function blobPath(paths: HomePaths, digest: Digest): string {
  const hex = hexOf(digest);
  return `${paths.blobs}/${hex.slice(0, 2)}/${hex}`;
}

/** Path of a layer's directory, which serves as an overlay lowerdir as it stands. */
export function layerPath(paths: HomePaths, digest: Digest): string {
  return `${paths.layers}/${hexOf(digest)}`;
}

/** Path of a mask's directory of whiteouts. */
export function maskPath(paths: HomePaths, digest: Digest): string {
  return `${paths.masks}/${hexOf(digest)}`;
}

/** Path of a task's log while the task runs. `task` is a task key, which holds no slash. */
export function liveLogPath(paths: HomePaths, run: string, task: string): string {
  return `${paths.runs}/${run}/${task}.log`;
}
