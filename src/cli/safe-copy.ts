// Copies an artifact out of the store into a folder of the user's. What a task made is not to be trusted: nothing is written
// outside the folder, through a link that lies there already, or over a file that exists unless that was asked for.

import {
  type Stats,
  chmodSync,
  constants,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { MeshError, errnoOf } from "../base/errors.ts";
import { printable } from "../base/text.ts";

export interface CopyOptions {
  /** The file or folder in the store; null for an empty folder. */
  readonly source: string | null;
  /** The folder that nothing may leave. Made when it does not exist. */
  readonly root: string;
  /** Where the copy stands, below `root`: plain names. */
  readonly path: readonly string[];
  /** Permission bits of the copy when it is a file. */
  readonly mode: number;
  readonly force: boolean;
}

export interface Copied {
  readonly path: string;
  readonly files: number;
  readonly sizeBytes: number;
}

const TEMPORARY = ".mesh-download";

interface PendingLink {
  readonly target: string;
  readonly path: string;
}

/** Copies and says where to. Throws `io.failed`, with nothing half written over what was there before. */
export function safeCopy({ source, root, path, mode, force }: CopyOptions): Copied {
  for (const name of path)
    if (!isPlainName(name))
      refuse(`Cannot write ${printable(path.join("/"))}: ${printable(JSON.stringify(name))} is no name of a file`);
  mkdirSync(root, { recursive: true });
  const destination = join(root, ...path);
  makeFolders(root, path.slice(0, -1));
  if (source === null) {
    makeFolder(destination);
    return { path: destination, files: 0, sizeBytes: 0 };
  }
  const copy = new Copy(source, force);
  copy.add(source, destination, mode);
  copy.finish();
  return { path: destination, files: copy.files, sizeBytes: copy.sizeBytes };
}

/** Whether a text is one name, and not one that means another folder. */
export function isPlainName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0");
}

/**
 * Whether a link's target stays inside a folder, for a link that lies `depth` folders below it. Steps up are allowed at the
 * beginning only: after a name, which may be a link itself, they would lead nobody knows where.
 */
export function staysInside(target: string, depth: number): boolean {
  if (target === "" || target.startsWith("/")) return false;
  const parts = target.split("/").filter((part) => part !== "" && part !== ".");
  const ups = parts.findIndex((part) => part !== "..");
  const leading = ups === -1 ? parts.length : ups;
  return leading <= depth && !parts.slice(leading).includes("..");
}

class Copy {
  readonly #source: string;
  readonly #force: boolean;
  readonly #links: PendingLink[] = [];
  files = 0;
  sizeBytes = 0;

  constructor(source: string, force: boolean) {
    this.#source = source;
    this.#force = force;
  }

  add(source: string, destination: string, mode?: number): void {
    const stat = lstatSync(source);
    if (stat.isDirectory()) {
      makeFolder(destination);
      for (const name of readdirSync(source).sort()) this.add(join(source, name), join(destination, name));
    } else if (stat.isFile()) {
      this.#copyFile(source, destination, (mode ?? stat.mode) & 0o777);
      this.files++;
      this.sizeBytes += stat.size;
    } else if (stat.isSymbolicLink()) {
      const target = readlinkSync(source);
      const depth = relative(this.#source, dirname(source))
        .split("/")
        .filter((part) => part !== "").length;
      if (source === this.#source || !staysInside(target, depth)) {
        refuse(
          `Cannot write the link ${printable(destination)}: its target ${printable(target)} is outside of the artifact`,
          "Have the task put out the file itself.",
        );
      }
      this.#links.push({ target, path: destination });
    } else refuse(`Cannot write ${printable(destination)}: it is neither file, folder nor link`);
  }

  /** Makes the links last, so that no file is ever written through one. */
  finish(): void {
    for (const { target, path } of this.#links) {
      this.#mayReplace(path);
      rmSync(path, { force: true });
      symlinkSync(target, path);
      this.files++;
    }
  }

  #copyFile(source: string, destination: string, mode: number): void {
    this.#mayReplace(destination);
    // beside the place it goes to, then renamed: a link that lies at that place is replaced, never followed
    const temporary = join(dirname(destination), `${TEMPORARY}-${process.pid}-${this.files}`);
    try {
      copyFileSync(source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      chmodSync(temporary, mode);
      renameSync(temporary, destination);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  /** Refuses to replace what exists, unless that was asked for. A folder is never replaced. */
  #mayReplace(path: string): void {
    const stat = statOrNull(path);
    if (stat === null) return;
    if (stat.isDirectory()) refuse(`Cannot write ${printable(path)}: there is a folder of this name`);
    if (!this.#force)
      refuse(`Cannot write ${printable(path)}: it exists`, "`--force` overwrites; `--output DIR` puts it elsewhere.");
  }
}

/** Makes the folders between `root` and the copy, and refuses to go through a link. */
function makeFolders(root: string, names: readonly string[]): void {
  let at = root;
  for (const name of names) makeFolder((at = join(at, name)));
}

function makeFolder(path: string): void {
  const stat = statOrNull(path);
  if (stat === null) mkdirSync(path);
  else if (!stat.isDirectory())
    refuse(
      `Cannot write below ${printable(path)}: it is ${stat.isSymbolicLink() ? "a link" : "no folder"}`,
      "Move it away, or choose another `--output`.",
    );
}

function statOrNull(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
}

function refuse(message: string, hint = ""): never {
  throw new MeshError("io.failed", message, { hint });
}
