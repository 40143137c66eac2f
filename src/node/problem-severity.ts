// The words and marks by which tools grade their complaints.

import type { Problem } from "../store/result.ts";

const ERRORS: ReadonlySet<string> = new Set([
  "critical",
  "e",
  "err",
  "error",
  "f",
  "failure",
  "fatal",
  "high",
  "x",
  "×",
  "✖",
]);
const NOTICES: ReadonlySet<string> = new Set(["hint", "i", "info", "information", "note", "notice", "none"]);

/** A word that is neither an error's nor a notice's is a warning's. */
export function severityOf(word: string): Problem["severity"] {
  const known = word.toLowerCase();
  if (ERRORS.has(known)) return "error";
  return NOTICES.has(known) ? "notice" : "warning";
}
