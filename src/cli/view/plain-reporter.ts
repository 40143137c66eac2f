// A run as plain lines: one for each task that starts or ends, and what tasks print, line by line, behind the task's key.
// For pipes, files, CI and --plain. It never moves the cursor.

import { printable } from "../../base/text.ts";
import type { RunEvent } from "../../sched/run-event.ts";
import type { RunJson } from "../../sched/summary.ts";
import type { Output } from "../output.ts";
import { LineSplitter, showLine } from "../text/log-text.ts";
import type { Style } from "../text/style.ts";
import { History, columnKey } from "./history.ts";
import { RunProgress } from "./progress.ts";
import {
  BY_WATCHER,
  KILLING_WORDS,
  type Monotonic,
  type RerunWords,
  type RunReporter,
  STOPPING_WORDS,
  stoppingWords,
} from "./reporter.ts";
import { summaryLines } from "./summary.ts";

/** Widest column of keys before output lines. */
const KEY_COLUMN = 24;

export class PlainReporter implements RunReporter {
  readonly #out: Output;
  readonly #style: Style;
  readonly #now: Monotonic;
  readonly #progress = new RunProgress();
  readonly #history: History;
  readonly #splitters = new Map<string, { readonly stdout: LineSplitter; readonly stderr: LineSplitter }>();
  #prefixWidth = 0;

  constructor(out: Output, style: Style, now: Monotonic) {
    this.#out = out;
    this.#style = style;
    this.#now = now;
    this.#history = new History(style);
  }

  event(event: RunEvent): void {
    const settled = this.#progress.apply(event, this.#now());
    if (event.kind === "run-started") {
      this.#prefixWidth = Math.min(this.#progress.keyWidth, KEY_COLUMN);
      this.#history.alignTo(this.#progress.keyWidth);
    } else if (event.kind === "task-started") {
      this.#splitters.set(event.key, { stdout: new LineSplitter(), stderr: new LineSplitter() });
      this.#print(this.#history.started(event.key));
    } else if (event.kind === "task-finished") {
      this.#endOutput(event.key);
    } else if (event.kind === "cancel-requested" && event.by !== BY_WATCHER) {
      this.#print([this.#style.yellow(stoppingWords(event.by))]);
    }
    for (const task of settled) this.#print(this.#history.settled(task));
  }

  output(key: string, stream: "stdout" | "stderr", bytes: Uint8Array): void {
    this.#progress.output(key, stream, bytes);
    const lines = this.#splitters.get(key)?.[stream].push(bytes);
    if (lines) this.#printOutput(key, lines);
  }

  notice(level: "warning" | "info", text: string): void {
    this.#print([noticeLine(level, text, this.#style)]);
  }

  interrupted(times: number): void {
    this.#print([this.#style.yellow(times === 1 ? STOPPING_WORDS : KILLING_WORDS)]);
  }

  finished(summary: RunJson, rerun: RerunWords): void {
    this.#history.forgetHits();
    this.#print(summaryLines({ summary, progress: this.#progress, rerun, style: this.#style }));
  }

  close(): void {
    this.#out.flush();
  }

  #endOutput(key: string): void {
    const splitters = this.#splitters.get(key);
    if (!splitters) return;
    this.#splitters.delete(key);
    this.#printOutput(key, [...splitters.stdout.end(), ...splitters.stderr.end()]);
  }

  #printOutput(key: string, lines: readonly string[]): void {
    if (lines.length === 0) return;
    const prefix = `  ${this.#style.dim(`${columnKey(key, this.#prefixWidth)} │`)} `;
    this.#print([...this.#history.flushHits(), ...lines.map((line) => prefix + showLine(line, this.#style.colour))]);
  }

  #print(lines: readonly string[]): void {
    if (lines.length > 0) this.#out.write(`${lines.join("\n")}\n`);
  }
}

/** "warning: ..." */
export function noticeLine(level: "warning" | "info", text: string, style: Style): string {
  const shown = printable(text);
  return level === "warning" ? `${style.yellow("warning:")} ${shown}` : style.dim(shown);
}
