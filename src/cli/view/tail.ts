// The last lines of a task's output, kept in bounded memory while it runs. It never keeps more, whatever a task prints.

import { LineSplitter } from "../text/log-text.ts";

/** Lines kept: what the failure summary shows at most. */
const LINES_KEPT = 20;

/** Output in one piece beyond this is not split line by line: only its end can be among the last lines. */
const PIECE_LOOKED_AT = 64 * 1024;

export class Tail {
  readonly #splitters = { stdout: new LineSplitter(), stderr: new LineSplitter() };
  readonly #lines: string[] = [];

  /** Takes bytes as they come. Returns the lines that they completed. */
  push(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    const end = bytes.length > PIECE_LOOKED_AT ? bytes.subarray(bytes.length - PIECE_LOOKED_AT) : bytes;
    for (const line of this.#splitters[stream].push(end)) this.#lines.push(line);
    if (this.#lines.length > LINES_KEPT) this.#lines.splice(0, this.#lines.length - LINES_KEPT);
  }

  /** The last `count` lines, oldest first, an unfinished one included; blank ones at the end are left out. */
  last(count: number): readonly string[] {
    const lines = [...this.#lines];
    for (const stream of ["stdout", "stderr"] as const) {
      const partial = this.#splitters[stream].partial;
      if (partial !== "") lines.push(partial);
    }
    while (lines.length > 0 && lines.at(-1)?.trim() === "") lines.pop();
    return count <= 0 ? [] : lines.slice(-count);
  }
}
