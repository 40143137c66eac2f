// What every command is given: where to write, what it may ask of the process, and the node, opened when it is first used.
// Tests hand over fakes of all of it.

import type { MeshSeat, NodeKeeper, NodeService } from "../node/node-service.ts";
import type { Archive } from "./archive.ts";
import type { BlobShelf } from "./blob-shelf.ts";
import type { Arguments } from "./grammar/arguments.ts";
import type { Program } from "./grammar/command.ts";
import type { Output } from "./output.ts";
import type { Style } from "./text/style.ts";

export interface CommandContext {
  readonly program: Program;
  readonly stdout: Output;
  readonly stderr: Output;
  /** For text on standard output. */
  readonly style: Style;
  /** For text on standard error. */
  readonly errorStyle: Style;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly now: Clocks;
  /** Size of the terminal behind standard output at this moment. */
  readonly terminalSize: () => { readonly columns: number; readonly rows: number };
  /** The machine's node. Opens the store; closed when the command is over. */
  readonly node: () => Promise<CliNode>;
  /** The node that runs here, or one that lives as long as the command. Throws `mesh.not-a-member`. */
  readonly service: () => Promise<NodeService>;
  /** This machine's place in a mesh. */
  readonly seat: () => Promise<MeshSeat>;
  /** The words that start this program, the first an absolute path. */
  readonly programWords: readonly string[];
  /** Starting and stopping this machine's node. */
  readonly keeper: () => Promise<NodeKeeper>;
  /** Blobs of this machine's store. */
  readonly blobs: () => Promise<BlobShelf>;
  /** Runs, results and cache, for commands that look. Opens the store; closed when the command is over. */
  readonly archive: () => Promise<Archive>;
  /** The next line of standard input; null at its end. */
  readonly readLine: () => Promise<string | null>;
  /** Calls back at each Ctrl-C (and SIGTERM, SIGHUP) with how many there were, instead of ending the process. */
  readonly onInterrupt: (handler: (times: number) => void) => void;
  /** Calls back once when the reader of standard output has gone. */
  readonly onReaderGone: (handler: () => void) => void;
  /** Ends the process at once, whatever runs. */
  readonly exitNow: (code: number) => void;
}

export interface Clocks {
  /** Unix time. */
  readonly unixMs: () => number;
  /** Never goes back. */
  readonly monotonicMs: () => number;
}

/** The part of a node that commands use. */
export type CliNode = Pick<NodeService, "run">;

/** A command: returns the exit code. Failures are thrown. */
export type Execute = (context: CommandContext, args: Arguments) => Promise<number>;

/** Prints a value as one line of JSON. */
export function printJson(context: CommandContext, value: unknown): void {
  context.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Prints lines. */
export function printLines(context: CommandContext, lines: readonly string[]): void {
  if (lines.length > 0) context.stdout.write(`${lines.join("\n")}\n`);
}
