// The CommandContext of a real process: environment, signals, terminal, clock, and the node and store opened when asked for.

import type { LocalMachine } from "../node/local-machine.ts";
import type { Archive } from "./archive.ts";
import type { BlobShelf } from "./blob-shelf.ts";
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
  let machine: LocalMachine | null = null;
  let archive: (Archive & AsyncDisposable) | null = null;
  let blobs: (BlobShelf & Disposable) | null = null;
  const openMachine = async () => {
    const { LocalMachine: Machine } = await import("../node/local-machine.ts");
    return (machine ??= new Machine({ home: resolveHome(process.env), program: programWords() }));
  };
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
    node: async () => await (await openMachine()).runner(),
    service: async () => await (await openMachine()).service(),
    seat: openMachine,
    get programWords() {
      return programWords();
    },
    keeper: openMachine,
    async blobs() {
      const { StoreBlobs } = await import("./store-blobs.ts");
      return (blobs ??= StoreBlobs.open(resolveHome(process.env)));
    },
    async archive() {
      const { StoreArchive } = await import("./store-archive.ts");
      return (archive ??= StoreArchive.open(resolveHome(process.env)));
    },
    readLine: readStandardInput,
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
      await machine?.[Symbol.asyncDispose]();
      await archive?.[Symbol.asyncDispose]();
      blobs?.[Symbol.dispose]();
    },
  };
}

/** How this program starts itself: the compiled binary alone, or Bun and the source file. */
function programWords(): readonly string[] {
  const isCompiled = Bun.main.startsWith("/$bunfs/");
  return isCompiled ? [process.execPath] : [process.execPath, Bun.main];
}

/** One line; what stands behind it is lost. */
async function readStandardInput(): Promise<string | null> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of Bun.stdin.stream()) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  return text === "" ? null : (text.split("\n")[0] ?? null);
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}
