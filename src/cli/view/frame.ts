// The live view as lines: what runs, with the end of its output, and how far the whole is. A pure picture of a
// RunProgress at one moment, never higher nor wider than it is told.

import { groupDigits } from "../../base/text.ts";
import { formatDuration } from "../../base/units.ts";
import { cut } from "../text/columns.ts";
import { showLine } from "../text/log-text.ts";
import type { Style } from "../text/style.ts";
import { columnKey } from "./history.ts";
import type { RunProgress, SeenTask } from "./progress.ts";

export interface FrameSize {
  /** Columns. */
  readonly width: number;
  /** Most lines, at least 2. */
  readonly height: number;
}

/** Lines of output shown under each running task where there is room. */
const TAIL_LINES = 4;

/** The view never takes more lines than this, however high the terminal is. */
const MOST_LINES = 30;

/** An estimate shorter than this is not worth saying. */
const LEAST_ESTIMATE_MS = 1_000;

/** Draws the view. Every line fits `size.width`. */
export function frameLines(progress: RunProgress, nowMs: number, size: FrameSize, style: Style): readonly string[] {
  const room = Math.max(1, Math.min(size.height, MOST_LINES) - 1);
  const running = [...firstOf(progress.running.values(), room)];
  const hidden = progress.running.size - running.length;
  // one line must say how many there are beside those shown
  if (hidden > 0) running.pop();
  const tailLines =
    running.length === 0
      ? 0
      : Math.min(TAIL_LINES, Math.floor((room - running.length - (hidden > 0 ? 1 : 0)) / running.length));
  const keyWidth = Math.min(
    Math.max(8, ...running.map(({ key }) => key.length)),
    Math.max(8, Math.floor(size.width * 0.4)),
  );
  const lines: string[] = [];
  for (const task of running) lines.push(...taskLines(task, { nowMs, keyWidth, tailLines }, style));
  if (hidden > 0) lines.push(style.dim(`  … and ${groupDigits(progress.running.size - running.length)} more`));
  lines.push(wholeLine(progress, nowMs, size.width, style));
  return lines.map((line) => cut(line, size.width));
}

function taskLines(
  task: SeenTask,
  { nowMs, keyWidth, tailLines }: { nowMs: number; keyWidth: number; tailLines: number },
  style: Style,
): string[] {
  const elapsed = elapsedWords(nowMs - (task.startedMs ?? nowMs)).padStart(7);
  const head = `${style.cyan("●")} ${style.bold(columnKey(task.key, keyWidth))}  ${elapsed}`;
  if (tailLines === 0) {
    const [line] = task.tail?.last(1) ?? [];
    return [line === undefined ? head : `${head}  ${style.dim(showLine(line, false))}`];
  }
  const tail = task.tail?.last(tailLines) ?? [];
  return [head, ...tail.map((line) => `  ${style.dim("│")} ${showLine(line, style.colour)}`)];
}

/** The bar, the counts, the time. What does not fit goes from the end. */
function wholeLine(progress: RunProgress, nowMs: number, width: number, style: Style): string {
  const { counts, total, done } = progress;
  const elapsedMs = nowMs - (progress.startedMs ?? nowMs);
  const parts = [
    `${groupDigits(done)}/${groupDigits(total)}`,
    counts.hit > 0 ? `${groupDigits(counts.hit)} from cache` : "",
    counts.running > 0 ? `${counts.running} running` : "",
    counts.failed > 0 ? style.red(`${counts.failed} failed`) : "",
    elapsedWords(elapsedMs),
    progress.cancelling ? style.yellow("stopping") : estimateWords(progress, nowMs),
  ].filter((part) => part !== "");
  const barWidth = Math.max(6, Math.min(24, Math.floor(width / 4)));
  return `${bar(progress, barWidth, style)} ${parts.join(style.dim(" · "))}`;
}

/** A time that runs: always in seconds, so that it does not jump about. */
function elapsedWords(ms: number): string {
  return ms < 1_000 ? `${(ms / 1_000).toFixed(1)} s` : formatDuration(ms);
}

function estimateWords(progress: RunProgress, nowMs: number): string {
  const remainingMs = progress.remainingMs(nowMs);
  if (remainingMs === null || remainingMs < LEAST_ESTIMATE_MS) return "";
  const rounded = remainingMs < 60_000 ? Math.round(remainingMs / 1_000) * 1_000 : remainingMs;
  return `about ${rounded < 60_000 ? `${rounded / 1_000} s` : formatDuration(rounded)} left`;
}

function bar({ counts, total, done }: RunProgress, width: number, style: Style): string {
  const filled = total === 0 ? 0 : Math.floor((done / total) * width);
  const paint = counts.failed > 0 ? style.red : style.green;
  return paint("━".repeat(filled)) + style.dim("─".repeat(width - filled));
}

function* firstOf<T>(items: Iterable<T>, count: number): Iterable<T> {
  let taken = 0;
  for (const item of items) {
    if (taken++ >= count) return;
    yield item;
  }
}
