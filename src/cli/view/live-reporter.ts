// A run on a terminal: what runs and how far the whole is, drawn at most ten times a second, below the lines of what has
// ended, which scroll into the terminal's history.

import type { RunEvent } from "../../sched/run-event.ts";
import type { RunJson } from "../../sched/summary.ts";
import { cut } from "../text/columns.ts";
import type { Style } from "../text/style.ts";
import { frameLines } from "./frame.ts";
import { History } from "./history.ts";
import { noticeLine } from "./plain-reporter.ts";
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
import { Screen, type Terminal } from "./screen.ts";
import { summaryLines } from "./summary.ts";

const REDRAW_MS = 100;

/** Calls back again and again until the returned function is called. */
export type Ticker = (everyMs: number, tick: () => void) => () => void;

export interface LiveReporterOptions {
  readonly terminal: Terminal;
  readonly style: Style;
  readonly now: Monotonic;
  readonly ticker: Ticker;
}

export class LiveReporter implements RunReporter {
  readonly #options: LiveReporterOptions;
  readonly #screen: Screen;
  readonly #progress = new RunProgress();
  readonly #history: History;
  #staying: string[] = [];
  #stopTicking: (() => void) | null = null;

  constructor(options: LiveReporterOptions) {
    this.#options = options;
    this.#screen = new Screen(options.terminal);
    this.#history = new History(options.style);
  }

  event(event: RunEvent): void {
    const settled = this.#progress.apply(event, this.#options.now());
    if (event.kind === "run-started") {
      this.#history.alignTo(this.#progress.keyWidth);
      // the first picture comes a tick later: a run that is answered from the cache is over by then
      this.#stopTicking ??= this.#options.ticker(REDRAW_MS, () => this.#draw());
    }
    if (event.kind === "cancel-requested" && event.by !== BY_WATCHER) {
      this.#staying.push(this.#options.style.yellow(stoppingWords(event.by)));
    }
    for (const task of settled) this.#staying.push(...this.#history.settled(task));
  }

  output(key: string, stream: "stdout" | "stderr", bytes: Uint8Array): void {
    this.#progress.output(key, stream, bytes);
  }

  notice(level: "warning" | "info", text: string): void {
    this.#staying.push(noticeLine(level, text, this.#options.style));
  }

  interrupted(times: number): void {
    this.#staying.push(this.#options.style.yellow(times === 1 ? STOPPING_WORDS : KILLING_WORDS));
    this.#draw();
  }

  finished(summary: RunJson, rerun: RerunWords): void {
    this.#history.forgetHits();
    const lines = summaryLines({ summary, progress: this.#progress, rerun, style: this.#options.style });
    this.#end([...this.#take(), ...lines]);
  }

  close(): void {
    this.#end(this.#take());
  }

  #draw(): void {
    const { columns, rows } = this.#options.terminal.size();
    // the last column stays free: a full line would leave the cursor in the state before a wrap
    const width = Math.max(1, columns - 1);
    const frame = frameLines(
      this.#progress,
      this.#options.now(),
      { width, height: Math.max(2, rows - 1) },
      this.#options.style,
    );
    const staying = this.#take();
    if (this.#progress.counts.running > 0) staying.push(...this.#history.flushHits());
    this.#screen.update(
      staying.map((line) => cut(line, width)),
      frame,
    );
  }

  #take(): string[] {
    const lines = this.#staying;
    this.#staying = [];
    return lines;
  }

  #end(lines: readonly string[]): void {
    this.#stopTicking?.();
    this.#stopTicking = null;
    this.#screen.close(lines);
  }
}
