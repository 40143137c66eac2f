// The backend without isolation, for machines whose kernel refuses namespaces: a plain process in a copy of its files.
// Only by explicit choice. It sees and may change whatever the user may; it never pretends otherwise.

import { closeSync, lstatSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../../base/errors.ts";
import { type Pipe, makePipe } from "../../base/io/libc.ts";
import { WORKSPACE_IN_TREE } from "../../store/paths.ts";
import type { Backend, Execution, ExecutionExit, RunningExecution } from "../backend.ts";
import { layOver } from "./lay-over.ts";
import { killMarked, sendSignal } from "./marked-processes.ts";
import { keepChanges, takeSnapshot } from "./workspace-changes.ts";

/** Variable that marks every process of one task, so that those which left its group are found. */
const MARK = "MESH_PROCESS_MARK";

/** How long output is read after the task has ended: a process that was not found may hold it open. */
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

  async start(execution: Execution): Promise<RunningExecution> {
    const { scratch } = execution;
    const workspace = join(scratch.root, "workspace");
    const home = join(scratch.root, "home");
    fillWorkspace(workspace, execution.layers);
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home);
    const before = takeSnapshot(workspace);
    const mark = `${process.pid}-${Math.trunc(performance.now() * 1000)}-${scratch.root}`;
    const env: Record<string, string> = { HOME: home, ...execution.env, PWD: workspace, [MARK]: mark };
    for (const { name, folder } of execution.ioVariables) env[name] = join(scratch.io, folder);
    const { child, stdoutFd, stderrFd } = spawnWithOutput(execution, { cwd: workspace, env });
    const readings = [
      readPipe(stdoutFd, (bytes) => execution.output("stdout", bytes)),
      readPipe(stderrFd, (bytes) => execution.output("stderr", bytes)),
    ];
    const kill = () => killMarked(child.pid, MARK, mark);
    const exited = (async (): Promise<ExecutionExit> => {
      await child.exited;
      kill();
      const drainTimer = setTimeout(() => readings.forEach((reading) => reading.stop()), DRAIN_MS);
      await Promise.all(readings.map((reading) => reading.done));
      clearTimeout(drainTimer);
      keepChanges(workspace, before, join(scratch.upper, WORKSPACE_IN_TREE));
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
    const gone = exited.then(
      () => undefined,
      () => undefined,
    );
    return { exited, gone, terminate: () => sendSignal(-child.pid, "SIGTERM"), kill };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function fillWorkspace(workspace: string, layers: readonly string[]): void {
  rmSync(workspace, { recursive: true, force: true });
  for (const layer of layers) {
    const source = join(layer, WORKSPACE_IN_TREE);
    if (lstatSync(source, { throwIfNoEntry: false }) !== undefined) layOver(source, workspace);
  }
  // also where a layer removed it
  mkdirSync(workspace, { recursive: true });
}

/** Starts the process with real pipes for its output, so that it may open /dev/stderr. */
function spawnWithOutput(execution: Execution, where: { readonly cwd: string; readonly env: Record<string, string> }) {
  const pipes: Pipe[] = [];
  try {
    const stdout = makePipe();
    pipes.push(stdout);
    const stderr = makePipe();
    pipes.push(stderr);
    const child = Bun.spawn([...execution.argv], {
      ...where,
      stdio: ["ignore", stdout.writeFd, stderr.writeFd],
      detached: true,
    });
    return { child, stdoutFd: stdout.readFd, stderrFd: stderr.readFd };
  } catch (error) {
    for (const { readFd } of pipes) closeSync(readFd);
    throw new MeshError("context.failed", `Cannot start ${execution.argv[0] ?? "nothing"}`, { cause: error });
  } finally {
    for (const { writeFd } of pipes) closeSync(writeFd);
  }
}

interface Reading {
  /** Settles at the end of the output. */
  readonly done: Promise<void>;
  stop(): void;
}

function readPipe(fd: number, take: (bytes: Uint8Array) => void): Reading {
  const reader = Bun.file(fd).stream().getReader();
  const readAll = async () => {
    try {
      for (let read = await reader.read(); !read.done; read = await reader.read()) take(read.value);
    } finally {
      closeSync(fd);
    }
  };
  return { done: readAll(), stop: () => void reader.cancel() };
}
