// `mesh lint [FILES]`: checks definitions and says everything that is wrong with them. It opens no store and runs nothing.

import { ERROR_CODES, MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { countOf } from "../../base/text.ts";
import { readDefinitionFile } from "../../node/definition-file.ts";
import { parseDefinition } from "../../spec/parse.ts";
import { renderDiagnostics } from "../../spec/render.ts";
import { type CommandContext, type Execute, printJson, printLines } from "../context.ts";
import { defaultDefinition } from "../definition-path.ts";
import { type Checked, countSeverity, diagnosticJson } from "../diagnostics.ts";
import { VERSION } from "../../base/version.ts";

/** What the text from standard input is called. */
const STDIN_NAME = "<stdin>";

export const execute: Execute = async (context, args) => {
  const paths = args.words.length > 0 ? args.words : [defaultDefinition(context.cwd)];
  const checked: Checked[] = [];
  for (const path of paths) checked.push(await check(path));
  if (args.on("sarif")) {
    const { sarifLog } = await import("../../spec/sarif.ts");
    context.stdout.write(`${JSON.stringify(sarifLog({ version: VERSION, files: checked }), null, 2)}\n`);
  } else if (args.on("json")) printJson(context, reportJson(checked));
  else printReport(context, checked);
  return checked.some(({ diagnostics }) => countSeverity(diagnostics, "error") > 0)
    ? ERROR_CODES["definition.invalid"].exit
    : 0;
};

async function check(path: string): Promise<Checked> {
  if (path === "-") {
    const text = await readStandardInput();
    return { file: STDIN_NAME, text, diagnostics: parseDefinition(text, { file: STDIN_NAME }).diagnostics };
  }
  const { text } = readDefinitionFile(path);
  return { file: path, text, diagnostics: parseDefinition(text, { file: path }).diagnostics };
}

async function readStandardInput(): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of Bun.stdin.stream()) {
    length += chunk.length;
    if (length > LIMITS.definitionBytes) {
      throw new MeshError(
        "definition.invalid",
        `Cannot read standard input: it has more than ${LIMITS.definitionBytes} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function reportJson(checked: readonly Checked[]): object {
  const all = checked.flatMap(({ diagnostics }) => diagnostics);
  return {
    files: checked.map(({ file, diagnostics }) => ({
      file,
      diagnostics: diagnostics.map((diagnostic) => diagnosticJson(file, diagnostic)),
    })),
    errors: countSeverity(all, "error"),
    warnings: countSeverity(all, "warning"),
    tips: countSeverity(all, "tip"),
  };
}

function printReport(context: CommandContext, checked: readonly Checked[]): void {
  const { style } = context;
  const lines: string[] = [];
  for (const { file, text, diagnostics } of checked) {
    if (diagnostics.length > 0) lines.push(renderDiagnostics(diagnostics, { file, text, colour: style.colour }), "");
  }
  const all = checked.flatMap(({ diagnostics }) => diagnostics);
  const errors = countSeverity(all, "error");
  const warnings = countSeverity(all, "warning");
  const parts = [
    errors > 0 ? style.red(countOf(errors, "error")) : "",
    warnings > 0 ? style.yellow(countOf(warnings, "warning")) : "",
  ].filter((part) => part !== "");
  const sign = errors > 0 ? style.red("✗") : style.green("✓");
  lines.push(
    `${sign} ${countOf(checked.length, "definition")}: ${parts.length === 0 ? "no faults" : parts.join(", ")}`,
  );
  printLines(context, lines);
}
