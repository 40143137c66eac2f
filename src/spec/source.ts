// The text of one definition and where its lines start: offsets to positions and back to lines. It never reads a file.

import type { Position } from "./definition.ts";

export interface Source {
  readonly file: string;
  readonly text: string;
  /** Offset of the first character of every line. */
  readonly lineStarts: readonly number[];
}

/** A half-open range of offsets into a source's text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Indexes the lines of a text. */
export function makeSource(file: string, text: string): Source {
  const lineStarts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lineStarts.push(at + 1);
  return { file, text, lineStarts };
}

/** Line and column of an offset; offsets past the end are at the end. */
export function positionAt(source: Source, offset: number): Position {
  let low = 0;
  let high = source.lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((source.lineStarts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  const start = source.lineStarts[low] ?? 0;
  return { line: low + 1, column: Math.min(offset, source.text.length) - start + 1 };
}

/** The text of a line, without its end; empty when there is no such line. */
export function lineAt(source: Source, line: number): string {
  const start = source.lineStarts[line - 1];
  if (start === undefined) return "";
  const end = source.text.indexOf("\n", start);
  const text = source.text.slice(start, end === -1 ? undefined : end);
  return text.endsWith("\r") ? text.slice(0, -1) : text;
}

/** Column one past the span's last character on the line where it starts; at least one past its start. */
export function endColumnOf(source: Source, span: Span): number {
  const at = positionAt(source, span.start);
  const lineEnd = (source.lineStarts[at.line - 1] ?? 0) + lineAt(source, at.line).length;
  const end = Math.min(span.end, lineEnd);
  return Math.max(at.column + 1, at.column + (end - span.start));
}
