// Layers made of files that lie elsewhere: a working tree under /workspace. Files whose metadata did not change since they were
// hashed are not read again, and nothing is copied when the layer is there already.

import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import { EMPTY_LAYER, type LayerRef } from "../layer.ts";
import { WORKSPACE_IN_TREE } from "../paths.ts";
import { comparePaths, contentBytes, isSafeName, NO_XATTRS, parentOf, type TreeEntry } from "../tree.ts";
import { encodeParts } from "../tree-codec.ts";
import { copyOpenFile } from "./copy-file.ts";
import { defaultIds } from "./ownership.ts";
import { storeFailure } from "./failures.ts";
import { FileHasher, openReadable } from "./file-hasher.ts";
import type { Home } from "./home.ts";
import type { Index } from "./index-db.ts";
import type { Layers } from "./layers.ts";
import { ERRNO, check, fileError } from "./errno.ts";
import * as raw from "./raw-files.ts";
import { breathe, hashFailure } from "./scan.ts";

/** One file, symlink or directory to take over. */
export interface SourceFile {
  /** Absolute path on this machine. */
  readonly source: string;
  /** Path below the workspace, names joined by "/". */
  readonly path: string;
}

export interface FromFilesOptions {
  /** Names the working tree: what is known of its files' digests is kept under this name. */
  readonly scope: string;
  readonly signal?: AbortSignal | undefined;
}

/** Younger than this when it was hashed, a file may change again without its times telling. */
const TICK_MS = 20;
const SLICE_MS = 5;
/** Times the whole is tried again when files change while they are copied. */
const MOST_TRIES = 3;

interface Known {
  readonly stamp: string;
  readonly digest: Digest;
}

interface Found {
  readonly entry: TreeEntry;
  readonly source: string;
  readonly stamp: string;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
}

export class WorkingTrees {
  readonly #home: Home;
  readonly #index: Index;
  readonly #layers: Layers;

  constructor(home: Home, index: Index, layers: Layers) {
    this.#home = home;
    this.#index = index;
    this.#layers = layers;
  }

  /**
   * A layer with these files under /workspace, owned by root inside, modes reduced to 0644 or 0755 so that a umask does not
   * change it. Sockets, devices and fifos are left out. Throws `io.failed` when files keep changing.
   */
  async fromFiles(files: readonly SourceFile[], options: FromFilesOptions): Promise<LayerRef> {
    for (let tried = 1; ; tried++) {
      try {
        return await this.#try(files, options);
      } catch (error) {
        if (!(error instanceof ChangedMeanwhile)) throw storeFailure(error, "take over the working tree");
        if (tried === MOST_TRIES) {
          throw new MeshError("io.failed", `Cannot take over ${JSON.stringify(error.path)}: it keeps changing`, {
            cause: error,
          });
        }
      }
    }
  }

  async #try(files: readonly SourceFile[], options: FromFilesOptions): Promise<LayerRef> {
    const known = this.#load(options.scope);
    const learnt = new Map<string, Known>();
    const found = await findAll(files, known, learnt, options.signal);
    if (!sameKeys(known, learnt)) this.#save(options.scope, learnt);
    if (found.length === 0) return EMPTY_LAYER;
    const entries = withDirectories(found);
    const tree = entries.map(({ entry }) => entry);
    const encoded = encodeParts(tree);
    const present = this.#layers.ref(encoded.digest);
    if (present) return present;
    const temporary = this.#home.temporary();
    try {
      await copyAll(temporary, entries, options.signal);
      return this.#layers.publish(temporary, { tree: () => tree, sizeBytes: contentBytes(tree) }, defaultIds());
    } catch (error) {
      this.#home.discard(temporary);
      throw error;
    }
  }

  #load(scope: string): Map<string, Known> {
    const row = this.#index.get<{ body: string }>("SELECT body FROM file_digests WHERE scope = ?", scope);
    if (!row) return new Map();
    try {
      const { paths, stamps, digests } = JSON.parse(row.body) as Record<"paths" | "stamps" | "digests", string[]>;
      return new Map(
        paths.map((path, at) => [path, { stamp: stamps[at] ?? "", digest: `sha256:${digests[at] ?? ""}` as Digest }]),
      );
    } catch {
      return new Map();
    }
  }

  #save(scope: string, known: ReadonlyMap<string, Known>): void {
    const body = JSON.stringify({
      paths: [...known.keys()],
      stamps: [...known.values()].map((each) => each.stamp),
      digests: [...known.values()].map((each) => each.digest.slice(7)),
    });
    this.#index.run("INSERT OR REPLACE INTO file_digests (scope, body) VALUES (?, ?)", scope, body);
  }
}

/** A file was not the same after it was copied as before. */
class ChangedMeanwhile extends Error {
  readonly path: string;
  constructor(path: string) {
    super("changed while it was copied");
    this.path = path;
  }
}

async function findAll(
  files: readonly SourceFile[],
  known: ReadonlyMap<string, Known>,
  learnt: Map<string, Known>,
  signal?: AbortSignal,
): Promise<Found[]> {
  const hasher = new FileHasher();
  const found: Found[] = [];
  let until = performance.now() + SLICE_MS;
  for (const { source, path } of files) {
    if (performance.now() > until) {
      signal?.throwIfAborted();
      await breathe();
      until = performance.now() + SLICE_MS;
    }
    if (!path.split("/").every(isSafeName))
      throw new MeshError("io.failed", `Cannot take over ${JSON.stringify(path)}: it is no path below the workspace`);
    const stat = raw.statAt(raw.HERE, source);
    // A file that was listed and is gone is as good as never listed.
    if (stat === -ERRNO.ENOENT || stat === -ERRNO.ENOTDIR) continue;
    if (typeof stat === "number") throw fileError(-stat, "stat", source);
    const one = findOne({ source, path: `${WORKSPACE_IN_TREE}/${path}` }, stat, (stamp) => {
      const remembered = known.get(path);
      return remembered?.stamp === stamp ? remembered.digest : hashSource(source, hasher, signal);
    });
    if (!one) continue;
    found.push(one);
    const settledMs =
      Math.max(stat.mtimeSec * 1e3 + stat.mtimeNsec / 1e6, stat.ctimeSec * 1e3 + stat.ctimeNsec / 1e6) + TICK_MS;
    if (one.entry.digest !== null && settledMs < Date.now())
      learnt.set(path, { stamp: one.stamp, digest: one.entry.digest });
  }
  return found;
}

/** `digestOf` is asked for a file's content alone. */
function findOne(file: SourceFile, stat: raw.FileStat, digestOf: (stamp: string) => Digest): Found | null {
  const { source, path } = file;
  const stamp = stampOf(stat);
  const base = { source, stamp, mtimeSec: stat.mtimeSec, mtimeNsec: stat.mtimeNsec };
  switch (stat.mode & raw.TYPE_MASK) {
    case raw.TYPE_DIRECTORY:
      return { ...base, entry: plainEntry(path, "directory", 0o755) };
    case raw.TYPE_SYMLINK: {
      const target = raw.readLinkAt(raw.HERE, source);
      if (typeof target === "number") throw fileError(-target, "read link", source);
      return { ...base, entry: { ...plainEntry(path, "symlink", 0), target } };
    }
    case raw.TYPE_FILE: {
      const mode = (stat.mode & 0o111) === 0 ? 0o644 : 0o755;
      const digest = digestOf(stamp);
      return { ...base, entry: { ...plainEntry(path, "file", mode), size: stat.size, digest } };
    }
    default:
      return null;
  }
}

function hashSource(source: string, hasher: FileHasher, signal?: AbortSignal): Digest {
  const fd = check(openReadable(raw.HERE, source), "read", source);
  try {
    const code = hasher.hash(fd, {
      restingSinceMs: Date.now(),
      smallOnly: false,
      goOn: () => signal?.aborted !== true,
    });
    if (code < 0) throw code < -9_000 ? new ChangedMeanwhile(source) : hashFailure(code, source);
    return `sha256:${hasher.digest.toHex()}` as Digest;
  } finally {
    raw.closeFd(fd);
  }
}

/** Adds the directories above, sorts, and lets the last of two equal paths win. */
function withDirectories(found: readonly Found[]): Found[] {
  const byPath = new Map<string, Found>();
  for (const each of found) byPath.set(each.entry.path, each);
  for (const { entry, source } of found) {
    let above = parentOf(source);
    for (let path = parentOf(entry.path); path !== "" && !byPath.has(path); path = parentOf(path)) {
      byPath.set(path, {
        entry: plainEntry(path, "directory", 0o755),
        source: above,
        stamp: "",
        mtimeSec: 0,
        mtimeNsec: 0,
      });
      above = parentOf(above);
    }
  }
  return [...byPath.values()].toSorted((a, b) => comparePaths(a.entry.path, b.entry.path));
}

async function copyAll(target: string, entries: readonly Found[], signal?: AbortSignal): Promise<void> {
  check(raw.makeDirectoryAt(raw.HERE, target, 0o755), "make", target);
  let until = performance.now() + SLICE_MS;
  for (const found of entries) {
    if (performance.now() > until) {
      signal?.throwIfAborted();
      await breathe();
      until = performance.now() + SLICE_MS;
    }
    copyOne(`${target}/${found.entry.path}`, found);
  }
}

function copyOne(path: string, { entry, source, stamp, mtimeSec, mtimeNsec }: Found): void {
  if (entry.kind === "directory") {
    check(raw.makeDirectoryAt(raw.HERE, path, 0o700), "make", path);
    check(raw.chmodAt(raw.HERE, path, entry.mode), "chmod", path);
    return;
  }
  if (entry.kind === "symlink") check(raw.makeSymlinkAt(entry.target ?? "", raw.HERE, path), "make", path);
  else {
    const fd = openReadable(raw.HERE, source);
    if (fd === -ERRNO.ENOENT) throw new ChangedMeanwhile(source);
    check(fd, "read", source);
    try {
      copyOpenFile(fd, raw.HERE, path);
      if (stampOf(raw.statFd(fd)) !== stamp) throw new ChangedMeanwhile(source);
    } finally {
      raw.closeFd(fd);
    }
    check(raw.chmodAt(raw.HERE, path, entry.mode), "chmod", path);
  }
  raw.setTimesAt(raw.HERE, path, mtimeSec, mtimeNsec);
}

/** What must be equal for a file's content to be taken as unchanged. */
function stampOf(stat: raw.FileStat): string {
  return `${stat.size}.${stat.mtimeSec}.${stat.mtimeNsec}.${stat.ctimeSec}.${stat.ctimeNsec}.${stat.ino}.${stat.device}`;
}

function sameKeys(a: ReadonlyMap<string, Known>, b: ReadonlyMap<string, Known>): boolean {
  if (a.size !== b.size) return false;
  for (const [path, known] of b) if (a.get(path)?.stamp !== known.stamp) return false;
  return true;
}

function plainEntry(path: string, kind: TreeEntry["kind"], mode: number): TreeEntry {
  return {
    path,
    kind,
    mode,
    uid: 0,
    gid: 0,
    size: 0,
    digest: null,
    target: null,
    xattrs: NO_XATTRS,
    hardlink: 0,
    opaque: false,
  };
}
