// Finds out how this machine's root filesystem looks, and writes the skeletons of contexts below MESH_HOME, once and atomically.

import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { readText } from "../../base/io/text-files.ts";
import { digestOf, shortDigest } from "../../base/digest.ts";
import { errnoOf, fail } from "../../base/errors.ts";
import { setXattr } from "../../base/io/libc.ts";
import type { HostRootKind } from "../runtime/plan-input.ts";
import { isWithin, mountOf, type MountPoint, parseMountInfo, visibleHostMounts } from "../runtime/mount-info.ts";
import {
  hiddenDirectories,
  homesOf,
  type HostTop,
  PRIVATE_DIRECTORIES,
  SECRET_DIRECTORIES,
  SECRET_FILES,
  type SkeletonEntry,
  skeletonEntries,
  type SkeletonFacts,
} from "../runtime/skeleton.ts";
import { CAP_SYS_ADMIN, hasCapability, isInInitialUserNamespace } from "./privilege.ts";

export interface HostRoot {
  readonly kind: HostRootKind;
  /** Filesystems to bind besides "/". */
  readonly mounts: readonly string[];
  /** Directories that the skeleton hides. */
  readonly hidden: readonly string[];
  /** For the kind "parts", outer before inner. */
  readonly parts: readonly { readonly path: string; readonly kind: "overlay" | "bind" }[];
}

/** Directories that a task expects to be able to write to although the machine's root owns them; of those that exist. */
const WRITABLE_PARTS = ["/etc", "/opt", "/usr/local", "/var"];
const WRITABLE_BELOW = [
  ..."bin sbin lib share include etc src".split(" ").map((name) => `/usr/local/${name}`),
  ..."cache lib log opt".split(" ").map((name) => `/var/${name}`),
];

/** This machine's mounts, as this process sees them. */
export function readMounts(): readonly MountPoint[] {
  return parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** What a skeleton depends on. `home` is MESH_HOME and exists. */
export function skeletonFacts(options: {
  readonly root: "host" | "layers";
  readonly singleId: boolean;
  readonly home: string;
}): SkeletonFacts {
  const { root, singleId } = options;
  const meshHome = realpathSync(options.home);
  if (root === "layers")
    return { root, singleId, meshHome, parts: null, homes: [], secretFiles: [], secretDirectories: [] };
  const homes = [...homesOf(readText("/etc/passwd")), homedir()]
    .flatMap(realPathIfDirectory)
    .filter((path) => path !== "/");
  const hostKeys = listIfThere("/etc/ssh")
    .filter((name) => /^ssh_host_.*_key$/.test(name))
    .map((name) => `/etc/ssh/${name}`);
  return {
    root,
    singleId,
    meshHome,
    parts: mayBindRoot() ? null : topOfHost(),
    homes: [...new Set(homes)].sort(),
    secretFiles: [...SECRET_FILES.filter(isPlainFile), ...hostKeys],
    secretDirectories: SECRET_DIRECTORIES.filter((path) => realPathIfDirectory(path)[0] === path),
  };
}

/** How the host's root goes below layers that lie in `home`, and what of it is to be seen. */
export function inspectHostRoot(home: string, facts: SkeletonFacts): HostRoot {
  const mounts = readMounts();
  const hidden = hiddenDirectories(facts);
  if (facts.parts !== null) return { kind: "parts", mounts: [], hidden, parts: partsOf(facts.parts, mounts) };
  const root = mountOf(mounts, "/");
  const own = mountOf(mounts, realpathSync(home));
  // An overlay over an overlay over an overlay is one more than the kernel stacks (FILESYSTEM_MAX_STACK_DEPTH).
  const kind = root?.type === "overlay" || own?.device !== root?.device ? "direct" : "stacked";
  return { kind, mounts: visibleHostMounts(mounts, hidden), hidden, parts: [] };
}

/**
 * Whether this process may unshare its mount namespace without a user namespace, and bind "/" out of it: the mounts that a
 * user namespace has inherited are locked to "/".
 */
function mayBindRoot(): boolean {
  return hasCapability(CAP_SYS_ADMIN) && isInInitialUserNamespace();
}

function topOfHost(): HostTop {
  const unseen = new Set([
    ...Object.keys(PRIVATE_DIRECTORIES),
    "/proc",
    "/sys",
    "/dev",
    "/lost+found",
    "/snap",
    "/mesh",
    "/workspace",
  ]);
  const paths = listIfThere("/")
    .map((name) => `/${name}`)
    .filter((path) => !unseen.has(path));
  const links = paths.flatMap((path) =>
    lstatSync(path).isSymbolicLink() ? [[path, readlinkSync(path)] as const] : [],
  );
  return {
    links: Object.fromEntries(links),
    directories: paths.filter((path) => lstatSync(path).isDirectory()),
    writable: [...WRITABLE_PARTS, ...WRITABLE_BELOW].filter((path) => realPathIfDirectory(path)[0] === path),
  };
}

/** A directory with a mount below it can be no overlay layer (see plan-root.ts): it is bound. */
function partsOf(top: HostTop, mounts: readonly MountPoint[]): HostRoot["parts"] {
  const inner = WRITABLE_PARTS.filter((path) => top.writable.includes(path) && !top.directories.includes(path));
  return [...top.directories, ...inner].map((path) => {
    const hasMounts = mounts.some((mount) => mount.path !== path && isWithin(mount.path, path));
    return { path, kind: WRITABLE_PARTS.includes(path) && !hasMounts ? "overlay" : "bind" };
  });
}

/** Path of the skeleton for these facts, written when it is not there yet. Throws `store.unwritable` or `context.unavailable`. */
export function ensureSkeleton(directory: string, facts: SkeletonFacts): string {
  const entries = skeletonEntries(facts);
  const path = join(directory, `skeleton-${shortDigest(digestOf(JSON.stringify(entries)))}`);
  if (existsSync(path)) return path;
  const draft = `${path}.${process.pid}.tmp`;
  try {
    mkdirSync(draft, { recursive: true });
    chmodSync(draft, 0o755);
    for (const entry of entries) writeEntry(draft, entry, facts.root === "host");
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (existsSync(path)) return path;
    const code = errnoOf(error) === "EOPNOTSUPP" ? "context.unavailable" : "store.unwritable";
    fail(code, `Cannot write the skeleton of contexts to ${path}`, { cause: error });
  }
  return path;
}

function writeEntry(root: string, entry: SkeletonEntry, overHost: boolean): void {
  const path = root + entry.path;
  if (entry.kind === "file") {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, entry.content);
    chmodSync(path, entry.mode);
    return;
  }
  if (entry.kind === "link") {
    symlinkSync(entry.target, path);
    return;
  }
  mkdirSync(path, { recursive: true });
  // The topmost directory's mode is the one that a merged directory shows.
  chmodSync(path, entry.kind === "merged" && overHost ? (hostModeOf(entry.path) ?? entry.mode) : entry.mode);
  if (entry.kind === "empty") setXattr(path, "user.overlay.opaque", new TextEncoder().encode("y"));
}

function hostModeOf(path: string): number | null {
  try {
    return statSync(path).mode & 0o7777;
  } catch {
    return null;
  }
}

function listIfThere(path: string): readonly string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

function isPlainFile(path: string): boolean {
  try {
    return lstatSync(path).isFile();
  } catch {
    return false;
  }
}

/** The real path in a list when it is an existing directory, else an empty list. */
function realPathIfDirectory(path: string): readonly string[] {
  try {
    const real = realpathSync(path);
    return statSync(real).isDirectory() ? [real] : [];
  } catch {
    return [];
  }
}
