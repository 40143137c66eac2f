// A command's context without a process: outputs that keep what is written, an archive in memory, a node that is told what
// to answer. `runCommand` goes the way of main(): parse, load, execute.

import { tmpdir } from "node:os";
import { MeshError } from "../../../src/base/errors.ts";
import type { Archive } from "../../../src/cli/archive.ts";
import type { BlobShelf } from "../../../src/cli/blob-shelf.ts";
import type { CliNode, CommandContext } from "../../../src/cli/context.ts";
import type { CommandModule } from "../../../src/cli/grammar/command.ts";
import { parseInvocation } from "../../../src/cli/grammar/parse.ts";
import { PROGRAM } from "../../../src/cli/program/program.ts";
import { PLAIN_STYLE } from "../../../src/cli/text/style.ts";
import { FakeArchive } from "./archive.ts";
import { FakeMesh } from "./mesh.ts";
import { FakeOutput } from "./output.ts";

export interface FakeContextOptions {
  readonly archive?: Archive;
  readonly node?: CliNode;
  readonly mesh?: FakeMesh;
  readonly blobs?: BlobShelf;
  /** What standard input holds. */
  readonly input?: string;
  readonly cwd?: string;
  readonly terminal?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

export interface FakeContext extends CommandContext {
  readonly stdout: FakeOutput;
  readonly stderr: FakeOutput;
  /** Presses Ctrl-C. */
  interrupt(): void;
  readonly exits: readonly number[];
}

/** 2026-01-01T00:05:00Z */
export const NOW_MS = Date.UTC(2026, 0, 1, 0, 5);

export function fakeContext(options: FakeContextOptions = {}): FakeContext {
  let onInterrupt: (times: number) => void = () => {};
  let interrupts = 0;
  const exits: number[] = [];
  const mesh = () => options.mesh ?? new FakeMesh();
  return {
    program: PROGRAM,
    stdout: new FakeOutput(options.terminal),
    stderr: new FakeOutput(options.terminal),
    style: PLAIN_STYLE,
    errorStyle: PLAIN_STYLE,
    env: options.env ?? {},
    cwd: options.cwd ?? tmpdir(),
    now: { unixMs: () => NOW_MS, monotonicMs: () => 0 },
    terminalSize: () => ({ columns: 80, rows: 24 }),
    node: () =>
      options.node ? Promise.resolve(options.node) : Promise.reject(new Error("the fake context has no node")),
    service: async () => await mesh().service(),
    programWords: ["/usr/bin/mesh"],
    seat: () => Promise.resolve(mesh()),
    keeper: () => Promise.resolve(mesh()),
    blobs: () =>
      options.blobs ? Promise.resolve(options.blobs) : Promise.reject(new Error("the fake context has no blobs")),
    readLine: () => Promise.resolve(options.input ?? null),
    archive: () => Promise.resolve(options.archive ?? new FakeArchive([])),
    onInterrupt: (handler) => (onInterrupt = handler),
    onReaderGone: () => {},
    exitNow: (code) => exits.push(code),
    interrupt: () => onInterrupt(++interrupts),
    exits,
  };
}

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly error: MeshError | null;
}

/** Runs a command line. A MeshError that the command throws is given back, not thrown. */
export async function runCommand(context: FakeContext, ...argv: string[]): Promise<Said> {
  let code: number;
  let error: MeshError | null = null;
  try {
    const invocation = parseInvocation(PROGRAM, argv);
    if (invocation.kind !== "command") throw new Error(`${argv.join(" ")} is no command`);
    const module = (await invocation.spec.load()) as CommandModule<CommandContext>;
    code = await module.execute(context, invocation.args);
  } catch (thrown) {
    if (!(thrown instanceof MeshError)) throw thrown;
    error = thrown;
    code = thrown.exitCode;
  }
  return { code, out: context.stdout.text, err: context.stderr.text, error };
}
