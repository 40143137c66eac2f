// One line for each thing that happened to a task: the lines that stay, above the live view or in a log of plain lines.
// Hits that come in a row are gathered, so that a run answered from the cache says little.

import { countOf, printable } from "../../base/text.ts";
import { formatDuration } from "../../base/units.ts";
import { cut, pad, widthOf } from "../text/columns.ts";
import type { Style } from "../text/style.ts";
import type { SeenTask } from "./progress.ts";
import { endingWords } from "./words.ts";

/** Widest column of task keys; longer keys push their line's rest to the right. */
const KEY_COLUMN = 36;

/** Hits in a row up to this number get a line each. */
const HITS_SHOWN = 6;

export class History {
  readonly #style: Style;
  readonly #hits: string[] = [];
  #hitCount = 0;
  #keyWidth = 0;

  constructor(style: Style) {
    this.#style = style;
  }

  /** Sets the width of the column of keys. */
  alignTo(keyWidth: number): void {
    this.#keyWidth = Math.min(keyWidth, KEY_COLUMN);
  }

  /** "● build   started" */
  started(key: string): string[] {
    return [...this.flushHits(), this.#line(this.#style.cyan("●"), key, this.#style.dim("started"))];
  }

  /** Lines for a task that is final. A hit gives none yet: it waits for `flushHits`. */
  settled(task: SeenTask): string[] {
    const style = this.#style;
    switch (task.state) {
      case "hit":
        this.#hitCount++;
        if (this.#hits.length <= HITS_SHOWN) this.#hits.push(task.key);
        return [];
      case "succeeded":
        return [
          ...this.flushHits(),
          this.#line(style.green("✓"), task.key, style.dim(formatDuration(task.durationMs ?? 0))),
        ];
      case "failed": {
        const after = task.durationMs === null ? "" : style.dim(` after ${formatDuration(task.durationMs)}`);
        const words = task.durationMs === null && task.message !== null ? "could not start" : endingWords(task);
        return [...this.flushHits(), this.#line(style.red("✗"), task.key, style.red(words) + after)];
      }
      case "stopped":
        // what had not started is counted in the summary
        if (task.startedMs === null) return [];
        return [...this.flushHits(), this.#line(style.yellow("■"), task.key, style.yellow("cancelled"))];
      case "skipped":
        return [...this.flushHits(), this.#line(style.dim("-"), task.key, style.dim("skipped"))];
      default:
        return [];
    }
  }

  /** The hits gathered since the last line: each, or their number when there are many. */
  flushHits(): string[] {
    if (this.#hitCount === 0) return [];
    const lines =
      this.#hitCount <= HITS_SHOWN
        ? this.#hits.map((key) => this.#line(this.#style.green("="), key, this.#style.dim("from cache")))
        : [`${this.#style.green("=")} ${this.#style.dim(`${countOf(this.#hitCount, "task")} from cache`)}`];
    this.forgetHits();
    return lines;
  }

  /** Drops the gathered hits unsaid: the last line of the run counts them. */
  forgetHits(): void {
    this.#hits.length = 0;
    this.#hitCount = 0;
  }

  #line(sign: string, key: string, rest: string): string {
    return `${sign} ${pad(printable(key), this.#keyWidth)}  ${rest}`;
  }
}

/** A key made exactly as wide as its column. */
export function columnKey(key: string, width: number): string {
  const shown = printable(key);
  return widthOf(shown) > width ? cut(shown, width) : pad(shown, width);
}
