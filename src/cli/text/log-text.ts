// What tasks printed, made fit for a terminal: colours stay, whatever moves the cursor, talks to the terminal or hides text
// goes. Also the splitting of a byte stream into lines. It never decides where lines are shown.

/** Longest line that is held back while its end has not come. */
const LONGEST_LINE = 32 * 1024;

/* oxlint-disable no-control-regex -- control characters are what is looked for */
// CSI sequences that set colours are kept: ESC [ numbers m
const SEQUENCE =
  /\u001b(?:\[[0-9;:<=>?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?|[ -/]*[0-~])?/g;
const COLOUR = /^\u001b\[[0-9;:]*m$/;
const CONTROL = /[\u0000-\u0008\u000a-\u001a\u001c-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;
const SUSPECT = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;
/* oxlint-enable no-control-regex */

/**
 * One line of output for showing. A line that was overwritten by carriage returns (progress bars) is shown as it
 * stood last. `colour` false takes the colours out too; true closes them at the end.
 */
export function showLine(line: string, colour: boolean): string {
  if (!SUSPECT.test(line)) return line.includes("\t") ? line.replaceAll("\t", "    ") : line;
  const trimmed = line.endsWith("\r") ? line.replace(/\r+$/, "") : line;
  const last = trimmed.slice(trimmed.lastIndexOf("\r") + 1);
  let coloured = false;
  const shown = last.replace(SEQUENCE, (sequence) => {
    if (!colour || !COLOUR.test(sequence)) return "";
    coloured = true;
    return sequence;
  });
  const clean = shown.replaceAll("\t", "    ").replace(CONTROL, "");
  return coloured && !clean.endsWith(RESET) ? clean + RESET : clean;
}

const RESET = "\u001b[0m";

/** Splits bytes into lines of text as they come. A line without end is given out in pieces once it is too long. */
export class LineSplitter {
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** Lines completed by these bytes, without their newline. */
  push(bytes: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > LONGEST_LINE) {
      lines.push(this.#rest);
      this.#rest = "";
    }
    return lines;
  }

  /** The last line when it had no newline; empty otherwise. */
  end(): string[] {
    const rest = this.#rest + this.#decoder.decode();
    this.#rest = "";
    return rest === "" ? [] : [rest];
  }

  /** What has come of the line that is being written. */
  get partial(): string {
    return this.#rest;
  }
}
