// The CommandContext of a real process: environment, signals, terminal, clock, and the node and store opened when asked for.

import type { MeshNode } from "../node/node.ts";
import type { Archive } from "./archive.ts";
import type { CommandContext } from "./context.ts";
import type { Program } from "./grammar/command.ts";
import { resolveHome } from "./home.ts";
import type { FileOutput } from "./output.ts";
import { makeStyle, wantsColour } from "./text/style.ts";

interface ProcessContextOptions {
  readonly program: Program;
  readonly stdout: FileOutput;
  readonly stderr: FileOutput;
  readonly onReaderGone: (handler: () => void) => void;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A terminal whose size is not known has this one. */
const USUAL_SIZE = { columns: 80, rows: 24 } as const;

export function processContext({
  program,
  stdout,
  stderr,
  onReaderGone,
}: ProcessContextOptions): CommandContext & AsyncDisposable {
  let node: MeshNode | null = null;
  let archive: (Archive & AsyncDisposable) | null = null;
  const style = lazily(() => makeStyle(wantsColour(process.env, stdout.isTerminal)));
  const errorStyle = lazily(() => makeStyle(wantsColour(process.env, stderr.isTerminal)));
  return {
    program,
    stdout,
    stderr,
    get style() {
      return style();
    },
    get errorStyle() {
      return errorStyle();
    },
    env: process.env,
    cwd: process.cwd(),
    now: { unixMs: Date.now, monotonicMs: () => performance.now() },
    terminalSize: () => ({
      columns: process.stdout.columns || USUAL_SIZE.columns,
      rows: process.stdout.rows || USUAL_SIZE.rows,
    }),
    async node() {
      if (node !== null) return node;
      const { MeshNode: Node } = await import("../node/node.ts");
      return (node ??= Node.open({ home: resolveHome(process.env) }));
    },
    async archive() {
      const { StoreArchive } = await import("./store-archive.ts");
      return (archive ??= StoreArchive.open(resolveHome(process.env)));
    },
    onInterrupt(handler) {
      let times = 0;
      for (const signal of SIGNALS) process.on(signal, () => handler(++times));
    },
    onReaderGone,
    exitNow(code) {
      stdout.flush();
      stderr.flush();
      process.exit(code);
    },
    async [Symbol.asyncDispose]() {
      await node?.[Symbol.asyncDispose]();
      await archive?.[Symbol.asyncDispose]();
    },
  };
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}
