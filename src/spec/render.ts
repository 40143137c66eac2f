// Diagnostics as text for people: place, message, the line itself, carets under the fault, advice. Pure; colour is a flag.

import { printable } from "../base/text.ts";
import type { Diagnostic, Severity } from "./diagnostic.ts";
import { lineAt, makeSource, type Source } from "./source.ts";

export interface RenderOptions {
  readonly file: string;
  /** The definition's text, for the lines that are shown. */
  readonly text: string;
  readonly colour: boolean;
}

const COLOURS: Readonly<Record<Severity | "dim" | "bold" | "off", string>> = {
  error: "\u001b[31m",
  warning: "\u001b[33m",
  tip: "\u001b[36m",
  dim: "\u001b[2m",
  bold: "\u001b[1m",
  off: "\u001b[0m",
};

/** Widest line that is shown; of longer ones, the part around the fault. */
const WIDTH = 160;

/** Every diagnostic of one file, a blank line between them; no line end after the last. Empty when there are none. */
export function renderDiagnostics(diagnostics: readonly Diagnostic[], options: RenderOptions): string {
  const source = makeSource(options.file, options.text);
  return diagnostics.map((diagnostic) => renderDiagnostic(diagnostic, source, options.colour)).join("\n\n");
}

function renderDiagnostic(diagnostic: Diagnostic, source: Source, colour: boolean): string {
  const paint = (name: keyof typeof COLOURS, text: string): string =>
    colour ? COLOURS[name] + text + COLOURS.off : text;
  const { at, severity } = diagnostic;
  const head = `${paint("bold", `${printable(source.file)}:${at.line}:${at.column}:`)} ${paint(severity, `${severity}:`)} ${diagnostic.message} ${paint("dim", `[${diagnostic.rule}]`)}`;
  const { line, before, carets } = excerpt(diagnostic, source);
  const gutter = String(at.line);
  const bar = paint("dim", "|");
  const frame = [
    `${paint("dim", ` ${gutter}`)} ${bar} ${line}`,
    ` ${" ".repeat(gutter.length)} ${bar} ${" ".repeat(before)}${paint(severity, "^".repeat(carets))}`,
  ];
  const advice =
    diagnostic.advice === "" ? [] : [` ${" ".repeat(gutter.length)} ${paint("dim", "=")} ${diagnostic.advice}`];
  return [head, ...frame, ...advice].join("\n");
}

/** The part of the line that is shown, and where the carets go, in characters as they are shown. */
function excerpt(
  { at, endColumn }: Diagnostic,
  source: Source,
): { readonly line: string; readonly before: number; readonly carets: number } {
  const whole = lineAt(source, at.line);
  const from = whole.length <= WIDTH ? 0 : Math.max(0, Math.min(at.column - 1 - WIDTH / 4, whole.length - WIDTH));
  const shown = whole.slice(from, from + WIDTH);
  const start = at.column - 1 - from;
  const fault = shown.slice(start, Math.max(start + 1, endColumn - 1 - from));
  return {
    line: `${from > 0 ? "..." : ""}${printable(shown)}${from + WIDTH < whole.length ? "..." : ""}`,
    before: (from > 0 ? 3 : 0) + width(printable(shown.slice(0, start))),
    carets: Math.max(1, width(printable(fault))),
  };
}

function width(text: string): number {
  return Bun.stringWidth(text);
}
