// From an offset in a YAML scalar's text back to the place in the file that it came from: indentation, folding, quotes and
// escapes lie between the two. Where the two cannot be aligned exactly the answer is near, and always inside the scalar.

import type { Span } from "./source.ts";
import type { ScalarNode } from "./yaml.ts";

/** A function from offsets in `value` to offsets in the file. */
export function placesOf(
  file: string,
  scalar: Span & { readonly style: ScalarNode["style"] },
  value: string,
): (offset: number) => number {
  const first = scalar.style === "single" || scalar.style === "double" ? scalar.start + 1 : scalar.start;
  if (scalar.style !== "block" && file.startsWith(value, first))
    return (offset) => Math.min(first + offset, scalar.end);
  const places = scalar.style === "block" ? alignBlock(file, scalar, value) : alignFlow(file, first, scalar, value);
  return (offset) => places[Math.min(offset, places.length - 1)] ?? scalar.start;
}

function alignBlock(file: string, scalar: Span, value: string): Uint32Array {
  const places = new Uint32Array(value.length + 1);
  const headerEnd = file.indexOf("\n", scalar.start);
  let from = headerEnd === -1 ? scalar.end : headerEnd + 1;
  const indent = indentOf(file, from, scalar.end);
  let lineStart = true;
  for (let at = 0; at < value.length; at++) {
    if (lineStart) from = skipSpaces(file, from, Math.min(from + indent, scalar.end));
    lineStart = false;
    const wanted = value[at];
    if (file[from] === wanted) {
      places[at] = from++;
      lineStart = wanted === "\n";
      continue;
    }
    places[at] = from;
    if (wanted === " " || wanted === "\n") {
      from = nextLine(file, from, scalar.end);
      lineStart = true;
    } else {
      from = nextMatch(file, from, scalar.end, wanted);
      places[at] = from;
      from = Math.min(from + 1, scalar.end);
    }
  }
  places[value.length] = Math.min(from, scalar.end);
  return places;
}

function alignFlow(
  file: string,
  first: number,
  scalar: Span & { readonly style: ScalarNode["style"] },
  value: string,
): Uint32Array {
  const places = new Uint32Array(value.length + 1);
  let from = first;
  for (let at = 0; at < value.length; at++) {
    const wanted = value[at];
    const found = file[from];
    if (scalar.style === "double" && found === "\\") {
      const continued = file[from + 1] === "\n" || file[from + 1] === "\r";
      if (continued) {
        from = skipBlank(file, from + 1, scalar.end);
        at--;
        continue;
      }
      places[at] = from;
      from = Math.min(from + escapeLength(file[from + 1]), scalar.end);
    } else if (found === wanted) {
      places[at] = from;
      from += scalar.style === "single" && found === "'" && file[from + 1] === "'" ? 2 : 1;
    } else if ((wanted === " " || wanted === "\n") && isBlank(found)) {
      places[at] = from;
      from =
        wanted === "\n" && value[at + 1] === "\n"
          ? nextLine(file, from, scalar.end)
          : skipBlank(file, from, scalar.end);
    } else {
      from = nextMatch(file, from, scalar.end, wanted);
      places[at] = from;
      from = Math.min(from + 1, scalar.end);
    }
  }
  places[value.length] = Math.min(from, scalar.end);
  return places;
}

function escapeLength(letter: string | undefined): number {
  if (letter === "x") return 4;
  if (letter === "u") return 6;
  return letter === "U" ? 10 : 2;
}

/** Spaces before the first line of a block that has text. */
function indentOf(file: string, start: number, end: number): number {
  for (let line = start; line < end; line = nextLine(file, line, end)) {
    const text = skipSpaces(file, line, end);
    if (file[text] !== "\n" && file[text] !== "\r" && text < end) return text - line;
  }
  return 0;
}

function skipSpaces(file: string, from: number, end: number): number {
  let at = from;
  while (at < end && file[at] === " ") at++;
  return at;
}

function skipBlank(file: string, from: number, end: number): number {
  let at = from;
  while (at < end && isBlank(file[at])) at++;
  return at;
}

function isBlank(char: string | undefined): boolean {
  return char === " " || char === "\t" || char === "\n" || char === "\r";
}

function nextLine(file: string, from: number, end: number): number {
  const newline = file.indexOf("\n", from);
  return newline === -1 || newline >= end ? end : newline + 1;
}

/** The next place of a character a little further on inside the scalar, or the same place when there is none. */
function nextMatch(file: string, from: number, end: number, wanted: string | undefined): number {
  const most = Math.min(end, from + 64);
  for (let at = from; at < most; at++) if (file[at] === wanted) return at;
  return Math.min(from, end);
}
