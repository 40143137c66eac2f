// The part of a terminal that is drawn again and again, below lines that stay. Each change is one write inside a
// synchronised update (DEC mode 2026), over the old picture and without clearing it first: nothing flickers.
// It never decides what is shown.

import { widthOf } from "../text/columns.ts";

export interface Terminal {
  write(text: string): void;
  /** Its size at this moment. */
  size(): { readonly columns: number; readonly rows: number };
}

const BEGIN = "\u001b[?2026h";
const END = "\u001b[?2026l";
const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const ERASE_LINE_END = "\u001b[K";
const ERASE_BELOW = "\u001b[J";

export class Screen {
  readonly #terminal: Terminal;
  #drawn: readonly string[] = [];
  #open = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Prints lines that stay above the picture, and draws the picture; both in one write. Equal pictures cost nothing. */
  update(staying: readonly string[], picture: readonly string[]): void {
    if (staying.length === 0 && sameLines(this.#drawn, picture)) return;
    let text = this.#open ? "" : HIDE_CURSOR;
    this.#open = true;
    text += this.#toTop();
    for (const line of staying) text += `${line}${ERASE_LINE_END}\n`;
    text += picture.map((line) => line + ERASE_LINE_END).join("\n");
    // what the old picture had below the new one
    text += ERASE_BELOW;
    this.#drawn = picture;
    this.#terminal.write(BEGIN + text + END);
  }

  /** Takes the picture away, prints the last lines and gives the cursor back. */
  close(staying: readonly string[]): void {
    const lines = staying.map((line) => `${line}\n`).join("");
    if (!this.#open) {
      if (lines !== "") this.#terminal.write(lines);
      return;
    }
    this.#terminal.write(BEGIN + this.#toTop() + ERASE_BELOW + lines + SHOW_CURSOR + END);
    this.#drawn = [];
    this.#open = false;
  }

  /** Moves to the first column of the picture's first line. A narrower terminal has wrapped the lines drawn before. */
  #toTop(): string {
    if (this.#drawn.length === 0) return "";
    const { columns } = this.#terminal.size();
    const rows = this.#drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / Math.max(1, columns))),
      0,
    );
    return rows > 1 ? `\r\u001b[${rows - 1}A` : "\r";
  }
}

function sameLines(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((line, index) => line === b[index]);
}
