// The backend without isolation, for machines whose kernel refuses namespaces: a plain process in a copy of its files.
// Only by explicit choice. It sees and may change whatever the user may; it never pretends otherwise.

import { lstatSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { check } from "../../store/io/errno.ts";
import { HERE, makeWhiteoutAt } from "../../store/io/raw-files.ts";
import type { Backend, Execution, ExecutionExit, RunningExecution } from "../backend.ts";
import { layOver } from "./lay-over.ts";

/** Variable that marks every process of one task, so that those which left its group are found. */
const MARK = "MESH_PROCESS_MARK";

/** How often output is looked for after the task's own process has ended, and for how long. */
const DRAIN_MS = 1_000;

export class ProcessBackend implements Backend {
  readonly name = "process";
  readonly paths;

  constructor(options: { readonly home: string; readonly definitionDirectory: string }) {
    this.paths = {
      artifactFolder: (hex: string) => join(options.home, "artifacts", hex.slice(0, 12)),
      runDirectory: options.definitionDirectory,
    };
  }

  start(execution: Execution): Promise<RunningExecution> {
    const { scratch } = execution;
    const workspace = join(scratch.root, "workspace");
    const home = join(scratch.root, "home");
    for (const directory of [workspace, home]) {
      rmSync(directory, { recursive: true, force: true });
      mkdirSync(directory);
    }
    for (const layer of execution.layers) {
      const source = join(layer, "workspace");
      if (lstatSync(source, { throwIfNoEntry: false })?.isDirectory()) layOver(source, workspace);
    }
    const before = snapshot(workspace);
    const mark = `${process.pid}-${Math.trunc(performance.now() * 1000)}-${scratch.root}`;
    const env: Record<string, string> = { HOME: home, ...execution.env, PWD: workspace, [MARK]: mark };
    for (const { name, folder } of execution.ioVariables) env[name] = join(scratch.io, folder);
    const child = Bun.spawn([...execution.argv], {
      cwd: workspace,
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
    });
    const killAll = () => {
      signalGroup(child.pid, "SIGKILL");
      for (const pid of markedProcesses(mark)) signalOne(pid, "SIGKILL");
    };
    const output = Promise.all([pump(child.stdout, (bytes) => execution.output("stdout", bytes)), pump(child.stderr, (bytes) => execution.output("stderr", bytes))]);
    const exited = (async (): Promise<ExecutionExit> => {
      await child.exited;
      killAll();
      await Promise.race([output, Bun.sleep(DRAIN_MS)]);
      keepChanges(workspace, before, join(scratch.upper, "workspace"));
      rmSync(workspace, { recursive: true, force: true });
      rmSync(home, { recursive: true, force: true });
      const usage = child.resourceUsage();
      return {
        exitCode: child.signalCode === null ? child.exitCode : null,
        signal: child.signalCode === null ? null : String(child.signalCode),
        outOfMemory: false,
        used: { cpuMs: Math.round(Number(usage?.cpuTime.total ?? 0) / 1000), memoryBytesMax: usage?.maxRSS ?? null },
      };
    })();
    return Promise.resolve({ exited, terminate: () => signalGroup(child.pid, "SIGTERM"), kill: killAll });
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

interface Stamp {
  readonly inode: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly isDirectory: boolean;
}

function snapshot(root: string): ReadonlyMap<string, Stamp> {
  const stamps = new Map<string, Stamp>();
  const visit = (directory: string) => {
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      const stat = lstatSync(path);
      stamps.set(relative(root, path), { inode: stat.ino, size: stat.size, mtimeMs: stat.mtimeMs, ctimeMs: stat.ctimeMs, isDirectory: stat.isDirectory() });
      if (stat.isDirectory()) visit(path);
    }
  };
  visit(root);
  return stamps;
}

/** Moves what differs from `before` to `upper`, and leaves whiteouts for what is gone: a layer like any other. */
function keepChanges(workspace: string, before: ReadonlyMap<string, Stamp>, upper: string): void {
  const after = snapshot(workspace);
  const put = (path: string) => {
    const target = join(upper, path);
    mkdirSync(dirname(target), { recursive: true });
    return target;
  };
  for (const [path, stamp] of after) {
    const old = before.get(path);
    if (stamp.isDirectory) {
      if (old?.isDirectory !== true) mkdirSync(put(path), { recursive: true });
    } else if (old === undefined || old.inode !== stamp.inode || old.size !== stamp.size || old.mtimeMs !== stamp.mtimeMs || old.ctimeMs !== stamp.ctimeMs) {
      renameSync(join(workspace, path), put(path));
    }
  }
  for (const path of before.keys()) {
    if (!after.has(path) && (dirname(path) === "." || after.has(dirname(path)))) makeWhiteout(put(path));
  }
}

function makeWhiteout(path: string): void {
  check(makeWhiteoutAt(HERE, path), "make a whiteout", path);
}

async function pump(stream: ReadableStream<Uint8Array>, take: (bytes: Uint8Array) => void): Promise<void> {
  for await (const bytes of stream) take(bytes);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  signalOne(-pid, signal);
}

function signalOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended already
  }
}

function markedProcesses(mark: string): readonly number[] {
  if (process.platform !== "linux") return [];
  const wanted = `${MARK}=${mark}`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/environ`, "utf8").split("\0").includes(wanted);
      } catch {
        return false;
      }
    })
    .map(Number);
}
