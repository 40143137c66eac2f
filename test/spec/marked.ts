// Definitions with their expected faults marked in the text: `«key»` is the span that a diagnostic must have.

import type { Diagnostic } from "../../src/spec/diagnostic.ts";
import { parseDefinition } from "../../src/spec/parse.ts";

export interface Mark {
  readonly line: number;
  readonly column: number;
  readonly endColumn: number;
}

/** The text without its marks, and where they stood. */
export function unmark(marked: string): { readonly text: string; readonly marks: readonly Mark[] } {
  const marks: Mark[] = [];
  const lines = marked.split("\n").map((whole, index) => {
    let line = whole;
    for (let open = line.indexOf("«"); open !== -1; open = line.indexOf("«")) {
      const close = line.indexOf("»");
      marks.push({ line: index + 1, column: open + 1, endColumn: Math.max(close, open + 2) });
      line = line.slice(0, open) + line.slice(open + 1, close) + line.slice(close + 1);
    }
    return line;
  });
  return { text: lines.join("\n"), marks };
}

/** All diagnostics of a text, "rule line:column-endColumn" each. */
export function found(text: string, file = "tasks.yml"): readonly string[] {
  return parseDefinition(text, { file }).diagnostics.map(shortly);
}

export function shortly({ rule, at, endColumn }: Diagnostic): string {
  return `${rule} ${at.line}:${at.column}-${endColumn}`;
}

/** A definition with one task after the given lines, each indented under it. */
export function task(...lines: readonly string[]): string {
  return ["tasks:", "  - key: a", ...lines.map((line) => `    ${line}`)].join("\n");
}
