// The diagnostics of one definition while it is read: each place and message once, the number bounded.

import { LIMITS } from "../base/limits.ts";
import { countOf } from "../base/text.ts";
import type { Position } from "./definition.ts";
import { type Diagnostic, RULES, type RuleName } from "./diagnostic.ts";
import { endColumnOf, positionAt, type Source, type Span } from "./source.ts";

export interface Finding {
  readonly rule: RuleName;
  readonly at: Span;
  readonly message: string;
  readonly advice?: string;
}

/** Findings come in the order of the checks, not of the places: some more than are shown are kept to choose from. */
const MOST_KEPT = LIMITS.diagnostics * 2;

export class Report {
  readonly #source: Source;
  readonly #seen = new Set<string>();
  readonly #found: Diagnostic[] = [];
  readonly #muted = new Set<number>();
  #errors = 0;
  #dropped = 0;

  constructor(source: Source) {
    this.#source = source;
  }

  /** Findings that start at this offset are not recorded: what stands there is a stand-in for what could not be read. */
  mute(offset: number): void {
    this.#muted.add(offset);
  }

  /** Records a finding; one that an alias repeats at the same place counts once. */
  add(finding: Finding): void {
    if (this.#muted.has(finding.at.start)) return;
    const row = RULES[finding.rule];
    if (row.severity === "error") this.#errors++;
    const key = `${finding.rule} ${finding.at.start} ${finding.message}`;
    if (this.#seen.has(key)) return;
    if (this.#found.length >= MOST_KEPT) {
      this.#dropped++;
      return;
    }
    this.#seen.add(key);
    this.#found.push({
      severity: row.severity,
      rule: finding.rule,
      message: finding.message,
      advice: finding.advice ?? "",
      at: positionAt(this.#source, finding.at.start),
      endColumn: endColumnOf(this.#source, finding.at),
    });
  }

  /** True when nothing more is kept: suggestions need not be looked for. */
  get isFull(): boolean {
    return this.#found.length >= MOST_KEPT;
  }

  get errors(): number {
    return this.#errors;
  }

  /** All findings by place, errors kept in preference to remarks when there are more than the bound. */
  diagnostics(): readonly Diagnostic[] {
    const wanted = [...this.#found];
    let kept = wanted;
    if (wanted.length > LIMITS.diagnostics) {
      const errors = wanted.filter((diagnostic) => diagnostic.severity === "error").toSorted(byPlace);
      const others = wanted.filter((diagnostic) => diagnostic.severity !== "error").toSorted(byPlace);
      kept = [...errors, ...others].slice(0, LIMITS.diagnostics);
    }
    const hidden = this.#dropped + wanted.length - kept.length;
    const sorted = kept.toSorted(byPlace);
    if (hidden > 0) sorted.push(tooMany(hidden, sorted.at(-1)?.at ?? { line: 1, column: 1 }));
    return sorted;
  }
}

function byPlace(a: Diagnostic, b: Diagnostic): number {
  return a.at.line - b.at.line || a.at.column - b.at.column || (a.rule < b.rule ? -1 : a.rule > b.rule ? 1 : 0);
}

function tooMany(hidden: number, at: Position): Diagnostic {
  return {
    severity: RULES["too-many"].severity,
    rule: "too-many",
    message: `${countOf(hidden, "further finding")} not shown`,
    advice: "Mend those above first.",
    at,
    endColumn: at.column + 1,
  };
}
