// A log on its way to the reader: raw bytes into pipes and files, safe lines onto terminals, lines with times, or JSON lines.

import { formatBytes } from "../../base/units.ts";
import type { LogFrame } from "../../store/log-frames.ts";
import type { Output } from "../output.ts";
import { LineSplitter, showLine } from "../text/log-text.ts";

const NEWLINE = 10;

type Stream = "stdout" | "stderr";

export interface LogPrinterOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly colours: Readonly<Record<Stream, boolean>>;
  readonly streams: ReadonlySet<string>;
  readonly timestamps: boolean;
  readonly json: boolean;
}

export class LogPrinter {
  readonly #options: LogPrinterOptions;
  readonly #splitters = { stdout: new LineSplitter(), stderr: new LineSplitter() };
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  #lastMs = 0;
  /** Whether raw bytes ended in the middle of a line. */
  #lineIsOpen = false;

  constructor(options: LogPrinterOptions) {
    this.#options = options;
  }

  /** Prints frames, whose times count from `startedAtMs`. Stops when nobody reads any more. */
  print(frames: readonly LogFrame[], startedAtMs: number): void {
    for (const frame of frames) {
      if (this.#options.stdout.closed) return;
      this.#lastMs = startedAtMs + frame.atMs;
      if (frame.kind === "dropped") this.#dropped(frame.droppedBytes);
      else if (this.#options.streams.has(frame.stream)) this.#output(frame.stream, frame.bytes);
    }
  }

  /** Prints last lines that have no newline. */
  end(): void {
    for (const stream of ["stdout", "stderr"] as const) this.#lines(stream, this.#splitters[stream].end());
  }

  #output(stream: Stream, bytes: Uint8Array): void {
    if (this.#options.json) {
      const text = this.#decoders[stream].decode(bytes, { stream: true });
      if (text !== "") this.#json({ stream, text, at: new Date(this.#lastMs).toISOString() });
    } else if (!this.#options.timestamps && !this.#target(stream).isTerminal) {
      this.#target(stream).write(bytes);
      this.#lineIsOpen = bytes.at(-1) !== NEWLINE;
    } else {
      this.#lines(stream, this.#splitters[stream].push(bytes));
    }
  }

  #dropped(bytes: number): void {
    if (this.#options.json) return this.#json({ droppedBytes: bytes, at: new Date(this.#lastMs).toISOString() });
    this.end();
    this.#target("stdout").write(`${this.#lineIsOpen ? "\n" : ""}[... ${formatBytes(bytes)} left out ...]\n`);
    this.#lineIsOpen = false;
  }

  #lines(stream: Stream, lines: readonly string[]): void {
    const target = this.#target(stream);
    const time = this.#options.timestamps ? `${new Date(this.#lastMs).toISOString()} ` : "";
    for (const line of lines)
      target.write(`${time}${target.isTerminal ? showLine(line, this.#options.colours[stream]) : line}\n`);
  }

  #json(value: object): void {
    this.#options.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Order holds where both go to the same terminal: each hands over before the other writes. */
  #target(stream: Stream): Output {
    this.#options[stream === "stdout" ? "stderr" : "stdout"].flush();
    return this.#options[stream];
  }
}
