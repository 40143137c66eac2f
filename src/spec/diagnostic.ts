// A fault or a remark about a run definition, as data, and the closed table of the rules that make them.
// It never prints: render.ts and sarif.ts turn diagnostics into text.

import type { Position } from "./position.ts";

export interface Diagnostic {
  readonly severity: Severity;
  /** Stable name of the rule, for SARIF and for suppressing: "unknown-key", "cycle", ... */
  readonly rule: RuleName;
  readonly message: string;
  /** What to do about it; empty when the message says it all. */
  readonly advice: string;
  readonly at: Position;
  /** One past the last character, on the same line; for the caret. */
  readonly endColumn: number;
}

export type Severity = "error" | "warning" | "tip";

interface RuleRow {
  readonly severity: Severity;
  /** One sentence for the rule's page in SARIF viewers. */
  readonly title: string;
}

export const RULES = {
  "yaml-syntax": { severity: "error", title: "The file is not well-formed YAML." },
  "yaml-tab": { severity: "error", title: "YAML is indented with spaces, never with tabs." },
  "yaml-documents": { severity: "error", title: "A definition is one YAML document." },
  "yaml-alias": { severity: "error", title: "An alias names an anchor that is set before it and does not contain it." },
  "yaml-key": { severity: "error", title: "Keys are text." },
  "yaml-tag": { severity: "error", title: "YAML tags (a value that starts with !) are not used." },
  "yaml-merge": { severity: "error", title: "A merge key (<<) takes a map or a list of maps." },
  "too-large": { severity: "error", title: "The definition is over one of the bounds of size, depth or number." },
  "duplicate-key": { severity: "error", title: "A key stands once in a map." },
  "unknown-key": { severity: "error", title: "The key is not one that is known here." },
  "missing-key": { severity: "error", title: "A key that is required is missing." },
  "wrong-type": { severity: "error", title: "The value has another type than the one wanted here." },
  "invalid-value": { severity: "error", title: "The value is not one of those allowed here." },
  "mutually-exclusive": { severity: "error", title: "Keys that exclude one another are given together." },
  "empty-value": { severity: "warning", title: "A key without a value is read as if it were absent." },
  "lossy-number": { severity: "warning", title: "YAML reads the number without some of its digits." },
  deprecated: { severity: "tip", title: "The key is an old form of another one." },
  "task-key": { severity: "error", title: "A task's key is made of letters, digits, hyphens and underscores." },
  "duplicate-task": { severity: "error", title: "A task's key is unique in its definition." },
  "unknown-task": { severity: "error", title: "The task named does not exist." },
  cycle: { severity: "error", title: "Tasks cannot wait for one another in a circle." },
  "expression-syntax": { severity: "error", title: "The expression cannot be read." },
  "expression-not-allowed": { severity: "error", title: "Expressions are not evaluated at this place." },
  "unknown-context": { severity: "error", title: "The expression starts with a name that does not exist here." },
  "unknown-function": { severity: "error", title: "The function called does not exist." },
  "unknown-init": { severity: "error", title: "No trigger of the definition gives this init parameter." },
  "unknown-param": { severity: "error", title: "The package does not declare this parameter." },
  "unknown-parallel": { severity: "error", title: "The task's parallel does not define this name." },
  "unknown-member": { severity: "error", title: "The thing named has no such member." },
  "unknown-value": { severity: "error", title: "The task named has no way to write this value." },
  "unknown-artifact": { severity: "error", title: "The task named has no way to make this artifact." },
  "doubtful-value": { severity: "warning", title: "Nothing in the task named shows that it writes this value." },
  "doubtful-artifact": { severity: "warning", title: "Nothing in the task named shows that it makes this artifact." },
  "doubtful-context": { severity: "warning", title: "The expression uses something that is not known to exist." },
  "unsupported-pattern": {
    severity: "warning",
    title: "The regular expression uses what is not supported when it is evaluated.",
  },
  "env-name": { severity: "error", title: "The name cannot be that of an environment variable." },
  "odd-env-name": { severity: "warning", title: "A shell cannot read a variable of this name." },
  amount: { severity: "error", title: "The amount of CPU, memory, disk or GPU cannot be read." },
  duration: { severity: "error", title: "The duration cannot be read, or is out of range." },
  "exit-code": { severity: "error", title: "An exit code is a whole number from 0 to 255." },
  "filter-pattern": { severity: "error", title: "The filter pattern cannot match anything." },
  "absolute-filter": { severity: "warning", title: "Filters are relative to the workspace; a leading slash is old." },
  cron: { severity: "error", title: "The cron schedule is not valid." },
  "unknown-matcher": { severity: "warning", title: "No problem matcher of that name is built in." },
  "package-name": {
    severity: "error",
    title: "A call names a package and its exact version, a digest, or an expression.",
  },
  "package-parameter": { severity: "error", title: "The package takes other parameters than the ones given." },
  "doubtful-parameter": { severity: "warning", title: "The package is not known to take this parameter." },
  parallel: { severity: "error", title: "The shape of parallel is not valid." },
  "parallel-limit": { severity: "warning", title: "A parallel task makes no more tasks than its limit." },
  "background-process": {
    severity: "error",
    title: "Background processes have unique keys and start in an order that exists.",
  },
  "too-many": { severity: "tip", title: "More was found than is shown." },
} as const satisfies Record<string, RuleRow>;

export type RuleName = keyof typeof RULES;
