// Diagnostics of definitions on their way out: as text with carets, as JSON, and as the reason why a run did not start.

import { MeshError } from "../base/errors.ts";
import { countOf } from "../base/text.ts";
import type { Diagnostic } from "../spec/diagnostic.ts";
import { renderDiagnostics } from "../spec/render.ts";
import type { CommandContext } from "./context.ts";

/** A definition's text and what was found in it. */
export interface Checked {
  readonly file: string;
  readonly text: string;
  readonly diagnostics: readonly Diagnostic[];
}

/** The documented JSON of one diagnostic. */
export function diagnosticJson(file: string, { severity, rule, message, advice, at, endColumn }: Diagnostic): object {
  return { severity, rule, message, advice, place: { file, line: at.line, column: at.column }, endColumn };
}

/** How many of a severity there are. */
export function countSeverity(diagnostics: readonly Diagnostic[], severity: Diagnostic["severity"]): number {
  return diagnostics.filter((diagnostic) => diagnostic.severity === severity).length;
}

/** Says on standard error why a definition cannot be run. Returns the exit code. */
export function refuseDefinition(context: CommandContext, { file, text, diagnostics }: Checked, json: boolean): number {
  const errors = countSeverity(diagnostics, "error");
  const first = diagnostics.find(({ severity }) => severity === "error");
  const fault = new MeshError(
    "definition.invalid",
    `Cannot run ${file}: ${countOf(errors, "error")}`,
    first ? { place: { file, ...first.at } } : {},
  );
  if (json) {
    const error = { ...fault.toJSON(), diagnostics: diagnostics.map((diagnostic) => diagnosticJson(file, diagnostic)) };
    context.stderr.write(`${JSON.stringify({ error })}\n`);
  } else {
    const { errorStyle: style } = context;
    const rendered = renderDiagnostics(diagnostics, { file, text, colour: style.colour });
    context.stderr.write(
      `${rendered}\n\n${style.red(style.bold("error:"))} ${fault.message}\n${style.cyan("hint:")} ${fault.hint}\n`,
    );
  }
  return fault.exitCode;
}

/** Shows remarks about a definition that runs all the same. */
export function showRemarks(context: CommandContext, { file, text, diagnostics }: Checked): void {
  const warnings = diagnostics.filter(({ severity }) => severity === "warning");
  if (warnings.length > 0)
    context.stderr.write(`${renderDiagnostics(warnings, { file, text, colour: context.errorStyle.colour })}\n`);
}
