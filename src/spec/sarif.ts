// Diagnostics as a SARIF 2.1.0 log (OASIS sarif-v2.1.0, sections 3.13 to 3.30), as code hosts and editors take them.

import { type Diagnostic, RULES, type Severity } from "./diagnostic.ts";

export interface SarifOptions {
  /** Version of the program. */
  readonly version: string;
  readonly files: readonly { readonly file: string; readonly diagnostics: readonly Diagnostic[] }[];
}

const LEVELS: Readonly<Record<Severity, "error" | "warning" | "note">> = {
  error: "error",
  warning: "warning",
  tip: "note",
};

/** The log as plain data: one run, every rule, one result for each diagnostic. Columns are UTF-16 code units. */
export function sarifLog({ version, files }: SarifOptions): SarifLog {
  const ids = Object.keys(RULES);
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "mesh",
            version,
            rules: Object.entries(RULES).map(([id, { severity, title }]) => ({
              id,
              shortDescription: { text: title },
              defaultConfiguration: { level: LEVELS[severity] },
            })),
          },
        },
        columnKind: "utf16CodeUnits",
        results: files.flatMap(({ file, diagnostics }) =>
          diagnostics.map((diagnostic) => resultOf(diagnostic, { file, ids })),
        ),
      },
    ],
  };
}

function resultOf(
  diagnostic: Diagnostic,
  { file, ids }: { readonly file: string; readonly ids: readonly string[] },
): SarifResult {
  const { rule, severity, message, advice, at, endColumn } = diagnostic;
  return {
    ruleId: rule,
    ruleIndex: ids.indexOf(rule),
    level: LEVELS[severity],
    message: { text: advice === "" ? message : `${message}. ${advice}` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(file) },
          region: { startLine: at.line, startColumn: at.column, endLine: at.line, endColumn },
        },
      },
    ],
  };
}

/** A relative path as a URI reference: slashes kept, the rest escaped. */
function uriOf(file: string): string {
  return file.replaceAll("\\", "/").split("/").map(encodeURIComponent).join("/");
}

interface SarifResult {
  readonly ruleId: string;
  readonly ruleIndex: number;
  readonly level: "error" | "warning" | "note";
  readonly message: { readonly text: string };
  readonly locations: readonly {
    readonly physicalLocation: {
      readonly artifactLocation: { readonly uri: string };
      readonly region: {
        readonly startLine: number;
        readonly startColumn: number;
        readonly endLine: number;
        readonly endColumn: number;
      };
    };
  }[];
}

export interface SarifLog {
  readonly $schema: string;
  readonly version: "2.1.0";
  readonly runs: readonly [
    {
      readonly tool: {
        readonly driver: {
          readonly name: "mesh";
          readonly version: string;
          readonly rules: readonly {
            readonly id: string;
            readonly shortDescription: { readonly text: string };
            readonly defaultConfiguration: { readonly level: "error" | "warning" | "note" };
          }[];
        };
      };
      readonly columnKind: "utf16CodeUnits";
      readonly results: readonly SarifResult[];
    },
  ];
}
