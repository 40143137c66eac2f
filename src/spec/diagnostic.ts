// A fault or a remark about a run definition, as data. How it is printed is the cli's matter.

import type { Position } from "./position.ts";

export interface Diagnostic {
  readonly severity: "error" | "warning" | "tip";
  /** Stable name of the rule, for SARIF and for suppressing: "unknown-key", "cycle", ... */
  readonly rule: string;
  readonly message: string;
  /** What to do about it; empty when the message says it all. */
  readonly advice: string;
  readonly at: Position;
  /** One past the last character, on the same line; for the caret. */
  readonly endColumn: number;
}
