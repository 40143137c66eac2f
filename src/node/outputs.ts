// What a task wrote through its variables ($MESH_VALUES, $MESH_ENV, ...), read back with every bound enforced. The folder
// was in the task's hands: names, kinds, sizes and links in it are not to be trusted.

import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync } from "node:fs";
import { basename, join } from "node:path";
import { MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import { printable } from "../base/text.ts";
import { ERRNO, check } from "../store/io/errno.ts";
import * as raw from "../store/io/raw-files.ts";

/** Subfolders of a task's io folder, one for each kind of thing that it hands back. */
const HANDED_BACK = [
  "values",
  "env",
  "cache-key-excluded-env",
  "artifacts",
  "links",
  "errors",
  "test-results",
  "dynamic-tasks",
  "image",
  "hooks-before",
  "hooks-after",
] as const;

const LABELS = "image/labels";
const IO_FOLDERS = [...HANDED_BACK, LABELS] as const;

export type IoFolder = (typeof IO_FOLDERS)[number];

const VARIABLES: readonly (readonly [name: string, folder: IoFolder])[] = [
  ["VALUES", "values"],
  ["ENV", "env"],
  ["CACHE_KEY_EXCLUDED_ENV", "cache-key-excluded-env"],
  ["ARTIFACTS", "artifacts"],
  ["LINKS", "links"],
  ["TEST_RESULTS", "test-results"],
  ["DYNAMIC_TASKS", "dynamic-tasks"],
  ["ERRORS", "errors"],
  ["IMAGE", "image"],
  ["HOOKS_BEFORE_TASK", "hooks-before"],
  ["HOOKS_AFTER_TASK", "hooks-after"],
];

/** The variables that name these folders, under all names that run definitions use for them. */
export const IO_VARIABLES: readonly { readonly name: string; readonly folder: IoFolder }[] = VARIABLES.flatMap(
  ([name, folder]) => ["MESH", "RWX", "MINT"].map((prefix) => ({ name: `${prefix}_${name}`, folder })),
);

/** Makes the subfolders. */
export function makeIoFolders(io: string): void {
  for (const folder of IO_FOLDERS) mkdirSync(join(io, folder));
}

/** Names of what a task wrote, by folder. */
export class Written {
  readonly #io: string;
  readonly #names: ReadonlyMap<IoFolder, readonly string[] | null>;
  /** Whether the task wrote nothing at all, and left the folders as it found them. */
  readonly isNothing: boolean;

  /** Lists the folders once. What the task put in place of a folder is never followed. */
  constructor(io: string) {
    this.#io = io;
    const top = list(io) ?? EMPTY;
    const image = top.get("image") === "folder" ? (list(join(io, "image")) ?? EMPTY) : EMPTY;
    this.#names = new Map(
      IO_FOLDERS.map((folder) => [folder, namesIn(join(io, folder), folder === LABELS ? image : top)]),
    );
    const isWhole = top.size === HANDED_BACK.length && image.get("labels") === "folder";
    this.isNothing =
      isWhole &&
      HANDED_BACK.every((folder) => this.#names.get(folder)?.length === (folder === "image" ? 1 : 0)) &&
      this.#names.get(LABELS)?.length === 0;
  }

  /** Throws `task.failed` when the folder is not what the task was given. */
  names(folder: IoFolder): readonly string[] {
    const names = this.#names.get(folder) ?? null;
    if (names === null) {
      throw new MeshError(
        "task.failed",
        `Cannot read the folder ${folder} that the task was given: it is not a readable folder any more`,
        {
          hint: "Write files into it, and leave the folder itself as it is.",
        },
      );
    }
    return folder === "image" ? names.filter((name) => name !== "labels") : names;
  }

  path(folder: IoFolder): string {
    return join(this.#io, folder);
  }

  /**
   * A folder of small text files as name to content; one trailing newline is not part of a value.
   * Throws `task.failed` when there are too many, one is too large, or one is no regular file.
   */
  entries(folder: IoFolder): Readonly<Record<string, string>> {
    const names = this.names(folder);
    if (names.length === 0) return NONE;
    if (names.length > LIMITS.outputEntries) {
      throw new MeshError(
        "task.failed",
        `Cannot take ${names.length} entries of ${folder}: ${LIMITS.outputEntries} are the most`,
        {
          hint: "Write one file of many lines, or an artifact.",
        },
      );
    }
    return Object.fromEntries(
      names.map((name) => [name, readEntry(join(this.#io, folder, name), `${folder}/${name}`)]),
    );
  }
}

const NONE: Readonly<Record<string, string>> = Object.freeze({});
const NO_NAMES: readonly string[] = [];
const UNREADABLE: ReadonlySet<number> = new Set([ERRNO.EACCES, ERRNO.ELOOP, ERRNO.ENOENT, ERRNO.ENOTDIR]);

/** What is directly in a folder, by name. */
type Listing = ReadonlyMap<string, "folder" | "other">;

const EMPTY: Listing = new Map();

/** Null when there is no such folder, or it is closed to this process. A task has a dozen: listing them must cost little. */
function list(directory: string): Listing | null {
  const fd = raw.openAt(raw.HERE, directory, raw.READ_DIRECTORY);
  if (UNREADABLE.has(-fd)) return null;
  check(fd, "list", directory);
  try {
    let entries: Map<string, "folder" | "other"> | null = null;
    raw.readDirectory(fd, directory, (name, type) => {
      (entries ??= new Map()).set(name, isFolderType(type, fd, name) ? "folder" : "other");
    });
    return entries ?? EMPTY;
  } finally {
    raw.closeFd(fd);
  }
}

/** Some filesystems do not say what an entry is. */
function isFolderType(type: number, fd: number, name: string): boolean {
  if (type !== 0) return type === raw.TYPE_DIRECTORY;
  const stat = raw.statAt(fd, name);
  return typeof stat !== "number" && (stat.mode & raw.TYPE_MASK) === raw.TYPE_DIRECTORY;
}

/** Names in a folder, sorted; none when the task removed it, null when it is no folder any more or closed. `around`: what lies beside it. */
function namesIn(directory: string, around: Listing): readonly string[] | null {
  const kind = around.get(basename(directory));
  if (kind === undefined) return NO_NAMES;
  const listing = kind === "folder" ? list(directory) : null;
  if (listing === null) return null;
  return listing.size === 0 ? NO_NAMES : [...listing.keys()].sort();
}

function readEntry(path: string, shown: string): string {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw new MeshError("task.failed", `Cannot read ${printable(shown)}: a regular file was expected`, {
      cause: error,
      hint: "Write plain files there.",
    });
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile())
      throw new MeshError("task.failed", `Cannot read ${printable(shown)}: a regular file was expected`, {
        hint: "Write plain files there.",
      });
    if (stat.size > LIMITS.outputEntryBytes) {
      throw new MeshError(
        "task.failed",
        `Cannot take ${printable(shown)}: it has ${stat.size} bytes, and ${LIMITS.outputEntryBytes} are the most`,
        { hint: "Make it an artifact." },
      );
    }
    const buffer = Buffer.allocUnsafe(stat.size);
    let length = 0;
    while (length < buffer.length) {
      const count = readSync(file, buffer, length, buffer.length - length, null);
      if (count === 0) break;
      length += count;
    }
    return buffer.toString("utf8", 0, length).replace(/\r?\n$/, "");
  } finally {
    closeSync(file);
  }
}
