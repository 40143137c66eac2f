// Why two cache keys differ: their parts compared, as data with words. It reads nothing: listings of files are given.

import { unreachable } from "../base/assert.ts";
import { LIMITS } from "../base/limits.ts";
import { countOf, printable } from "../base/text.ts";
import type { KeyParts } from "../store/result.ts";

export type Change = "added" | "removed" | "changed";

/** One difference between an earlier key and a later one. `before` or `after` is null where there was, or is, none. */
export type KeyDifference =
  /** Lines count from 1, in the later script; in the earlier one where the line was removed. */
  | {
      readonly kind: "script";
      readonly change: Change;
      readonly line: number;
      readonly before: string | null;
      readonly after: string | null;
    }
  | {
      readonly kind: "env";
      readonly change: Change;
      readonly name: string;
      readonly before: string | null;
      readonly after: string | null;
    }
  /** The value is secret: only that it differs is known. */
  | { readonly kind: "secret-env"; readonly change: Change; readonly name: string }
  | { readonly kind: "file"; readonly change: Change; readonly path: string }
  /** The files differ, but no listing of the earlier or the later ones is at hand. */
  | { readonly kind: "files" }
  | {
      readonly kind: "part";
      readonly change: Change;
      readonly name: string;
      readonly before: string | null;
      readonly after: string | null;
    }
  | { readonly kind: "more"; readonly count: number };

/** Content digest of each file that a task found, by path. */
export type FileListing = ReadonlyMap<string, string>;

export interface KeyFiles {
  readonly before: FileListing;
  readonly after: FileListing;
}

/** Parts whose difference is one of files. */
const FILE_PARTS: ReadonlySet<string> = new Set(["layers", "workspace", "system"]);

/** Everything in which a later key differs from an earlier one; empty for equal keys. At most `LIMITS.keyDifferences` and a count. */
export function compareKeys(
  before: KeyParts,
  after: KeyParts,
  files: KeyFiles | null = null,
): readonly KeyDifference[] {
  const found: KeyDifference[] = [];
  let filesDiffer = false;
  for (const name of new Set([...Object.keys(after), ...Object.keys(before)])) {
    const [was, is] = [before[name] ?? null, after[name] ?? null];
    if (was === is) continue;
    if (FILE_PARTS.has(name)) filesDiffer = true;
    else if (name === "script") found.push(...compareScripts(was ?? "", is ?? ""));
    else found.push(comparePart(name, was, is));
  }
  if (filesDiffer) found.push(...(files === null ? [{ kind: "files" } as const] : compareFiles(files)));
  if (found.length <= LIMITS.keyDifferences) return found;
  return [...found.slice(0, LIMITS.keyDifferences), { kind: "more", count: found.length - LIMITS.keyDifferences }];
}

/** A difference for people, in one line. */
export function describeDifference(difference: KeyDifference): string {
  switch (difference.kind) {
    case "script":
      if (difference.before === null) return `script line ${difference.line} is new: ${quoted(difference.after)}`;
      if (difference.after === null) return `script line ${difference.line} is gone: ${quoted(difference.before)}`;
      return `script line ${difference.line} changed: ${quoted(difference.before)} -> ${quoted(difference.after)}`;
    case "env":
      if (difference.before === null) return `env ${printable(difference.name)} is new: ${quoted(difference.after)}`;
      if (difference.after === null) return `env ${printable(difference.name)} is gone: ${quoted(difference.before)}`;
      return `env ${printable(difference.name)} differs: ${quoted(difference.before)} -> ${quoted(difference.after)}`;
    case "secret-env":
      return `env ${printable(difference.name)} ${SECRET_WORDS[difference.change]} (its value is not kept)`;
    case "file":
      return `input file ${printable(difference.path)} ${difference.change}`;
    case "files":
      return "the input files differ";
    case "part":
      return describePart(difference);
    case "more":
      return `and ${countOf(difference.count, "difference")} more`;
    default:
      return unreachable(difference);
  }
}

const SECRET_WORDS: Readonly<Record<Change, string>> = { added: "is new", removed: "is gone", changed: "differs" };

function comparePart(name: string, before: string | null, after: string | null): KeyDifference {
  const change = changeOf(before, after);
  const space = name.indexOf(" ");
  const group = space < 0 ? name : name.slice(0, space);
  if (group === "env") return { kind: "env", change, name: name.slice(space + 1), before, after };
  if (group === "secret-env") return { kind: "secret-env", change, name: name.slice(space + 1) };
  return { kind: "part", change, name, before, after };
}

/** Lines between the common start and the common end of two scripts, one to one, the rest as added or removed. */
function compareScripts(before: string, after: string): readonly KeyDifference[] {
  const [was, is] = [before.split("\n"), after.split("\n")];
  let start = 0;
  while (start < was.length && start < is.length && was[start] === is[start]) start++;
  let end = 0;
  while (end < was.length - start && end < is.length - start && was[was.length - 1 - end] === is[is.length - 1 - end])
    end++;
  const found: KeyDifference[] = [];
  for (let line = start; line < Math.max(was.length, is.length) - end; line++) {
    const oldLine = line < was.length - end ? (was[line] ?? null) : null;
    const newLine = line < is.length - end ? (is[line] ?? null) : null;
    if (oldLine !== newLine)
      found.push({
        kind: "script",
        change: changeOf(oldLine, newLine),
        line: line + 1,
        before: oldLine,
        after: newLine,
      });
  }
  return found;
}

function compareFiles(files: KeyFiles): readonly KeyDifference[] {
  const found: KeyDifference[] = [];
  for (const [path, digest] of files.after) {
    const was = files.before.get(path);
    if (was !== digest) found.push({ kind: "file", change: was === undefined ? "added" : "changed", path });
  }
  for (const path of files.before.keys())
    if (!files.after.has(path)) found.push({ kind: "file", change: "removed", path });
  // The digests say that something differs: an attribute that the listings don't carry.
  return found.length === 0 ? [{ kind: "files" }] : found.sort((a, b) => comparePaths(a, b));
}

function comparePaths(a: KeyDifference, b: KeyDifference): number {
  const [left, right] = [a.kind === "file" ? a.path : "", b.kind === "file" ? b.path : ""];
  return left < right ? -1 : left > right ? 1 : 0;
}

function changeOf(before: string | null, after: string | null): Change {
  if (before === null) return "added";
  return after === null ? "removed" : "changed";
}

function describePart(part: KeyDifference & { readonly kind: "part" }): string {
  const what = PART_WORDS[part.name] ?? groupWords(part.name);
  if (part.before === null) return `${what} is new: ${quoted(part.after)}`;
  if (part.after === null) return `${what} is gone: ${quoted(part.before)}`;
  return `${what} changed: ${quoted(part.before)} -> ${quoted(part.after)}`;
}

const PART_WORDS: Readonly<Record<string, string>> = {
  scheme: "the way keys are made",
  shell: "the shell",
  base: "the base",
  "run-dir": "the folder of the definition (run.dir)",
};

function groupWords(name: string): string {
  const space = name.indexOf(" ");
  const rest = printable(name.slice(space + 1));
  switch (name.slice(0, Math.max(0, space))) {
    case "artifact":
      return `the content of the artifact ${rest}`;
    case "agent":
      return `what the agent asks for (${rest})`;
    case "output":
      return `the declared output ${rest}`;
    default:
      return printable(name);
  }
}

/** At most 120 characters of a value, safe for a terminal. */
function quoted(value: string | null): string {
  const text = printable(value ?? "");
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 117)}...` : text).replaceAll("\\\\", "\\");
}
