// Words that many commands share: short run ids, command lines to copy, times for people.

import { printable } from "../../base/text.ts";

/** Characters of a run's id that tell its time to the millisecond: enough to name it. */
const SHORT_ID = 10;

/** The start of a run's id, as every command takes it. */
export function shortRun(id: string): string {
  return printable(id.slice(0, SHORT_ID));
}

/** A command line that a shell reads back as these words. */
export function shellLine(words: readonly string[]): string {
  return words.map(shellWord).join(" ");
}

/** "just now", "5 minutes ago", "3 days ago". */
export function agoWords(thenMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - thenMs) / 1_000));
  if (seconds < 45) return "just now";
  for (const [unit, size] of UNITS) {
    const count = Math.round(seconds / size);
    if (count >= 1) return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
  }
  return "a minute ago";
}

const UNITS: readonly (readonly [string, number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
