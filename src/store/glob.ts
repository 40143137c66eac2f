// Patterns over paths: `*` and `?` inside a segment, `**` across segments, `{a,b}` alternatives, `\` before a character
// that is meant as itself. Matching cost is bounded by pattern length times path length: no regular expressions.

import { MeshError } from "../base/errors.ts";

/** Most alternatives one pattern may expand to, and its greatest length. */
const MOST_ALTERNATIVES = 1_024;
const MOST_CHARS = 4_096;

/** One alternative of a pattern: its segments; a segment of `null` is `**`. */
export interface Glob {
  readonly segments: readonly (Segment | null)[];
  /** The one path it matches, when it holds no wildcard; else null. */
  readonly literal: string | null;
}

/** Characters of a segment: a code unit, ANY_RUN for `*` or ANY_ONE for `?`. */
type Segment = readonly number[];

const ANY_RUN = -1;
const ANY_ONE = -2;

/**
 * Expands a pattern to its alternatives. A leading "./" or "/" and a trailing "/" are dropped; unbalanced braces are
 * plain characters. Throws `definition.invalid` when it is longer than 4,096 characters or has over 1,024 alternatives.
 */
export function parseGlob(pattern: string): readonly Glob[] {
  if (pattern.length > MOST_CHARS) {
    throw new MeshError(
      "definition.invalid",
      `Cannot use a pattern of ${pattern.length} characters: at most ${MOST_CHARS}`,
    );
  }
  const globs: Glob[] = [];
  for (const alternative of expandBraces(pattern)) {
    for (const text of spreadDoubleStars(trimPath(alternative))) globs.push(compile(text));
    if (globs.length > MOST_ALTERNATIVES) throw tooMany(pattern);
  }
  return globs;
}

/** Whether the whole of `path` (names joined by "/") matches. */
export function matchesGlob(glob: Glob, path: string): boolean {
  if (glob.literal !== null) return glob.literal === path;
  return matchesSegments(glob.segments, path.split("/"));
}

/** Greedy match with one point of return, the last `**`: what a later `**` can take never depends on an earlier one. */
function matchesSegments(segments: Glob["segments"], names: readonly string[]): boolean {
  let segment = 0;
  let name = 0;
  let starSegment = -1;
  let starName = 0;
  while (name < names.length) {
    const current = segments[segment];
    if (current === null) {
      starSegment = segment++;
      starName = name;
    } else if (current !== undefined && matchesName(current, names[name] ?? "")) {
      segment++;
      name++;
    } else if (starSegment >= 0) {
      segment = starSegment + 1;
      name = ++starName;
    } else return false;
  }
  while (segments[segment] === null) segment++;
  return segment === segments.length;
}

/** The same greedy walk over the characters of one name, with `*` as the point of return. */
function matchesName(segment: Segment, name: string): boolean {
  let at = 0;
  let char = 0;
  let starAt = -1;
  let starChar = 0;
  while (char < name.length) {
    const token = segment[at];
    if (token === ANY_RUN) {
      starAt = at++;
      starChar = char;
    } else if (token === ANY_ONE || token === name.charCodeAt(char)) {
      at++;
      char++;
    } else if (starAt >= 0) {
      at = starAt + 1;
      char = ++starChar;
    } else return false;
  }
  while (segment[at] === ANY_RUN) at++;
  return at === segment.length;
}

function compile(text: string): Glob {
  const segments = text.split("/").map((part) => (part === "**" ? null : compileSegment(part)));
  const literal = segments.every((segment) => segment?.every((token) => token >= 0) ?? false)
    ? segments.map((segment) => String.fromCharCode(...(segment ?? []))).join("/")
    : null;
  return { segments, literal };
}

function compileSegment(text: string): Segment {
  const tokens: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "\\" && at + 1 < text.length) tokens.push(text.charCodeAt(++at));
    else if (char === "*") {
      if (tokens.at(-1) !== ANY_RUN) tokens.push(ANY_RUN);
    } else tokens.push(char === "?" ? ANY_ONE : text.charCodeAt(at));
  }
  return tokens;
}

/** `a**b` crosses segments as well: it means `a*b` or `a*` + `/**` + `/*b`. */
function spreadDoubleStars(text: string): readonly string[] {
  let spread: readonly string[] = [""];
  for (const [index, part] of text.split("/").entries()) {
    const joint = index === 0 ? "" : "/";
    const inner = part === "**" ? -1 : part.search(/(?<!\\)\*\*/);
    const forms =
      inner < 0
        ? [part]
        : [
            part.replace(/\*{2,}/g, "*"),
            `${part.slice(0, inner)}*/**/*${part
              .slice(inner)
              .replace(/^\*+/, "")
              .replace(/\*{2,}/g, "*")}`,
          ];
    spread = spread.flatMap((before) => forms.map((form) => before + joint + form));
    if (spread.length > MOST_ALTERNATIVES) throw tooMany(text);
  }
  return spread;
}

function trimPath(text: string): string {
  let trimmed = text;
  while (trimmed.startsWith("./") || trimmed.startsWith("/")) trimmed = trimmed.slice(trimmed.startsWith("/") ? 1 : 2);
  while (trimmed.endsWith("/") && !trimmed.endsWith("\\/")) trimmed = trimmed.slice(0, -1);
  trimmed = trimmed.replace(/\/{2,}/g, "/").replace(/(?<=\/)(?:\.\/)+/g, "");
  return trimmed === "." ? "" : trimmed;
}

/** `{a,b}` to one text for each alternative, nested ones included. A group without a comma is plain text, as in Bash. */
function expandBraces(pattern: string): readonly string[] {
  const pending = [pattern];
  const done: string[] = [];
  while (pending.length > 0) {
    const text = pending.pop() ?? "";
    const group = firstGroup(text);
    if (!group) done.push(text);
    else {
      for (const option of group.options) pending.push(text.slice(0, group.from) + option + text.slice(group.to));
    }
    if (pending.length + done.length > MOST_ALTERNATIVES) throw tooMany(pattern);
  }
  return done;
}

interface BraceGroup {
  readonly from: number;
  readonly to: number;
  readonly options: readonly string[];
}

/** The first group with a comma that closes. One pass with a stack, so that thousands of braces stay cheap. */
function firstGroup(text: string): BraceGroup | null {
  const open: { at: number; commas: number[] }[] = [];
  let found: BraceGroup | null = null;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === "{") open.push({ at, commas: [] });
    else if (char === ",") open.at(-1)?.commas.push(at);
    else if (char === "}") {
      const group = open.pop();
      if (!group || group.commas.length === 0) continue;
      if (found && found.from < group.at) continue;
      found = { from: group.at, to: at + 1, options: optionsOf(text, group.at, group.commas, at) };
      if (open.length === 0) return found;
    }
  }
  return found;
}

function optionsOf(text: string, from: number, commas: readonly number[], to: number): readonly string[] {
  const ends = [...commas, to];
  return ends.map((end, index) => text.slice((index === 0 ? from : (ends[index - 1] ?? from)) + 1, end));
}

function tooMany(pattern: string): MeshError {
  const shown = JSON.stringify(pattern.slice(0, 100));
  return new MeshError(
    "definition.invalid",
    `Cannot use pattern ${shown}: it has over ${MOST_ALTERNATIVES} alternatives`,
  );
}
