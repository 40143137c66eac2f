// A namespace held open by a process: it lives until it is closed or this process ends, however that ends, and takes all that
// runs in it along. Commands are run in it from outside.

import { existsSync, readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { asOrdinaryUser } from "../user.ts";

export type Signal = "SIGCONT" | "SIGINT" | "SIGKILL" | "SIGSTOP" | "SIGTERM";

export interface Finished {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SpawnOptions {
  /** The whole environment beside PATH. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A process in a namespace. */
export interface NamespaceProcess {
  /** As this process's own namespace counts; null when it had ended before it was seen. */
  readonly pid: number | null;
  readonly stdin: Bun.FileSink;
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /** Exit code; 128 + number after a signal. */
  readonly exited: Promise<number>;
  kill(signal: Signal): void;
}

export interface NamespaceOptions {
  /** Options of `unshare`. */
  readonly unshare: readonly string[];
  /** The namespace that this one is made in; null for the machine itself. */
  readonly inside: Namespace | null;
  /** Made by an ordinary user, in a user namespace of its own. */
  readonly asUser: boolean;
  /** Shell commands to run in it first. */
  readonly setup?: string;
}

const START_MS = 10_000;
/** Waits for the end of its input and meanwhile reaps orphans, as the first process of a PID namespace must. */
const HOLD = "exec 3<&0; cat <&3 >/dev/null & wait $!";

export class Namespace implements AsyncDisposable {
  readonly #holder: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #asUser: boolean;
  readonly #hasPids: boolean;
  /** What stands outside for each process in here and waits for it; it stops when that stops. */
  readonly #standIns = new Set<Bun.Subprocess>();
  /** The process that is inside, as this process's own namespace counts. */
  readonly pid: number;

  private constructor(
    holder: Bun.Subprocess<"pipe", "pipe", "pipe">,
    { pid, asUser, hasPids }: { pid: number; asUser: boolean; hasPids: boolean },
  ) {
    this.#holder = holder;
    this.pid = pid;
    this.#asUser = asUser;
    this.#hasPids = hasPids;
  }

  static async open({ unshare, inside, asUser, setup = "" }: NamespaceOptions): Promise<Namespace> {
    const script = `set -e; ${setup}\necho ready; set +e; ${HOLD}`;
    const argv = ["unshare", ...unshare, "--", "sh", "-c", script];
    const hasPids = unshare.includes("--pid");
    const holder = Bun.spawn([...(inside?.wrap(argv, { pids: false }) ?? (asUser ? asOrdinaryUser(argv) : argv))], {
      env: environment({}),
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    const { value } = await holder.stdout.getReader().read();
    if (value === undefined) throw new Error(`Cannot make a namespace: ${await holder.stderr.text()}`);
    const pid = hasPids ? await onlyChild(holder) : holder.pid;
    if (pid === null) throw new Error("The namespace was gone at once");
    return new Namespace(holder, { pid, asUser, hasPids });
  }

  /** The argv that runs `argv` in here. `pids`: also in the PID and mount namespace, where there is one. */
  wrap(argv: readonly string[], { pids = this.#hasPids }: { pids?: boolean } = {}): readonly string[] {
    const user = this.#asUser ? ["--user", "--preserve-credentials"] : [];
    const more = pids ? ["--pid", "--mount", "--uts"] : [];
    const enter = ["nsenter", "--target", String(this.pid), ...user, "--net", ...more, "--wd=/", "--", ...argv];
    return this.#asUser ? asOrdinaryUser(enter) : enter;
  }

  /** Runs a command to its end. */
  async run(argv: readonly string[], options: SpawnOptions = {}): Promise<Finished> {
    const child = Bun.spawn([...this.wrap(this.#in(argv, options))], {
      env: environment(options.env ?? {}),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [exitCode, stdout, stderr] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
    return { exitCode, stdout, stderr };
  }

  /** Runs a shell script that must succeed. */
  async shell(script: string): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(["sh", "-ec", script]);
    if (exitCode !== 0) throw new Error(`Failed in a namespace (exit ${exitCode}): ${script}\n${stderr}`);
    return stdout;
  }

  /** Starts a command. */
  async spawn(argv: readonly string[], options: SpawnOptions = {}): Promise<NamespaceProcess> {
    const child = Bun.spawn([...this.wrap(this.#in(argv, options))], {
      env: environment(options.env ?? {}),
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#standIns.add(child);
    void child.exited.then(() => this.#standIns.delete(child));
    const pid = this.#hasPids ? await onlyChild(child) : child.pid;
    return {
      pid,
      stdin: child.stdin,
      stdout: child.stdout,
      stderr: child.stderr,
      exited: child.exited,
      kill: (signal) => {
        if (pid !== null) signalTo(pid, signal);
        if (signal === "SIGCONT" || signal === "SIGKILL") child.kill("SIGCONT");
      },
    };
  }

  /** Lets what waits for processes in here see again how they fare, after they were stopped. */
  wakeStandIns(): void {
    for (const child of this.#standIns) child.kill("SIGCONT");
  }

  /** Ends all that runs in it, at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    // With its first process a PID namespace goes as a whole.
    signalTo(this.pid, "SIGKILL");
    this.wakeStandIns();
    await this.#holder.stdin.end();
    await this.#holder.exited;
  }

  #in(argv: readonly string[], { cwd }: SpawnOptions): readonly string[] {
    return cwd === undefined ? argv : ["env", "-C", cwd, "--", ...argv];
  }
}

/** Sends a signal; a process that is gone is no fault. */
export function signalTo(pid: number, signal: Signal): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

function environment(env: Readonly<Record<string, string>>): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8", ...env };
}

/** The one child of a process that forks to enter a PID namespace; null when the process ended first. */
async function onlyChild(parent: Bun.Subprocess): Promise<number | null> {
  const path = `/proc/${parent.pid}/task/${parent.pid}/children`;
  for (const deadline = performance.now() + START_MS; performance.now() < deadline;) {
    if (parent.exitCode !== null || parent.signalCode !== null) return null;
    const child = existsSync(path) ? Number(readFileSync(path, "utf8").trim().split(" ")[0]) : 0;
    if (child > 0) return child;
    await wait(1);
  }
  throw new Error(`Process ${parent.pid} has had no child for ${START_MS} ms`);
}
