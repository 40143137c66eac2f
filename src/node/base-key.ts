// The identity of base `host`: which release, which architecture, which installed packages. An upgraded compiler
// changes the package database and so the key; files that no package manager knows do not count.

import { readFileSync, readdirSync, statSync } from "node:fs";
import { type Digest, digestOf } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";

/** Databases of dpkg, apk, pacman and rpm (its sqlite and its older forms). */
const PACKAGE_DATABASES = [
  "/var/lib/dpkg/status",
  "/lib/apk/db/installed",
  "/var/lib/pacman/local",
  "/usr/lib/sysimage/rpm/rpmdb.sqlite",
  "/var/lib/rpm/rpmdb.sqlite",
  "/var/lib/rpm/Packages",
];

export interface HostBase {
  /** What goes into cache keys: "host:debian-12:x86_64:<16 digits>". */
  readonly key: string;
  /** The same without the packages, for `base.config: release`. */
  readonly releaseKey: string;
}

/** Begins the base keys of what runs without isolation. */
export const PROCESS_BASE = "process:";

/** Every base that tasks of this machine may ask for. */
export function baseKeysOf({ key, releaseKey }: HostBase): readonly string[] {
  return [key, releaseKey, PROCESS_BASE + key, PROCESS_BASE + releaseKey];
}

/** Reads the identity of this machine's system. `digestOfFile` may answer for a package database from memory: reading it takes milliseconds. */
export function readHostBase(digestOfFile: (path: string) => Digest): HostBase {
  const arch = process.arch === "x64" ? "x86_64" : process.arch;
  const release = osRelease();
  const packages = PACKAGE_DATABASES.map((path) => databaseDigest(path, digestOfFile)).filter(
    (digest) => digest !== null,
  );
  const releaseKey = `host:${release}:${arch}`;
  return {
    releaseKey,
    key: `${releaseKey}:${packages.length === 0 ? "none" : digestOf(packages.join("\n")).slice(7, 23)}`,
  };
}

function osRelease(): string {
  for (const file of ["/etc/os-release", "/usr/lib/os-release"]) {
    try {
      const text = readFileSync(file, "utf8");
      const field = (name: string) => new RegExp(`^${name}="?([^"\\n]*)"?$`, "m").exec(text)?.[1] ?? "";
      return `${field("ID") || "linux"}-${field("VERSION_ID") || field("BUILD_ID") || "rolling"}`;
    } catch {
      continue;
    }
  }
  return process.platform;
}

function databaseDigest(path: string, digestOfFile: (path: string) => Digest): Digest | null {
  try {
    // pacman keeps one folder a package, named by its version
    return statSync(path).isDirectory() ? digestOf(readdirSync(path).sort().join("\n")) : digestOfFile(path);
  } catch (error) {
    if (error instanceof MeshError) throw error;
    return null;
  }
}
