// A terminal that obeys the few codes that Screen uses, so that tests see what a person would see.

import type { Terminal } from "../../../src/cli/view/screen.ts";

export class FakeTerminal implements Terminal {
  columns: number;
  rows: number;
  /** Everything that was ever shown, line by line, the part that scrolled away included. */
  readonly #lines: string[] = [""];
  #row = 0;
  #column = 0;
  cursorHidden = false;
  writes = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  get lines(): readonly string[] {
    return this.#lines.map((line) => line.trimEnd());
  }

  size(): { columns: number; rows: number } {
    return { columns: this.columns, rows: this.rows };
  }

  write(text: string): void {
    this.writes++;
    // oxlint-disable-next-line no-control-regex
    for (const [piece] of text.matchAll(/\u001b\[[?\d;]*[A-Za-z]|[\s\S]/gu)) {
      if (piece.startsWith("\u001b[")) this.#obey(piece);
      else if (piece === "\n") this.#down();
      else if (piece === "\r") this.#column = 0;
      else this.#put(piece);
    }
  }

  #obey(code: string): void {
    const count = Number(code.slice(2, -1)) || 1;
    if (code === "\u001b[?25l") this.cursorHidden = true;
    else if (code === "\u001b[?25h") this.cursorHidden = false;
    else if (code.endsWith("A")) this.#row = Math.max(0, this.#row - count);
    else if (code.endsWith("K")) this.#lines[this.#row] = (this.#lines[this.#row] ?? "").slice(0, this.#column);
    else if (code.endsWith("J")) {
      this.#lines[this.#row] = (this.#lines[this.#row] ?? "").slice(0, this.#column);
      this.#lines.length = this.#row + 1;
    }
  }

  #down(): void {
    this.#row++;
    this.#column = 0;
    if (this.#row === this.#lines.length) this.#lines.push("");
  }

  #put(char: string): void {
    if (this.#column >= this.columns) this.#down();
    const line = (this.#lines[this.#row] ?? "").padEnd(this.#column);
    this.#lines[this.#row] = line.slice(0, this.#column) + char + line.slice(this.#column + 1);
    this.#column++;
  }
}
