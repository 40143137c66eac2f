// One attempt at a command task: its context, its time limit, its end, and all that it left behind.

import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { hexOf } from "../base/digest.ts";
import { LIMITS } from "../base/limits.ts";
import { formatBytes, formatDuration } from "../base/units.ts";
import type { Backend, Bind, Execution, ExecutionExit, Scratch } from "../exec/backend.ts";
import type { LogWriter } from "../store/io/log-writer.ts";
import type { Store } from "../store/io/store.ts";
import { EMPTY_TREE, isEmptyLayer } from "../store/layer.ts";
import { WORKSPACE_IN_TREE } from "../store/paths.ts";
import type { FailureReason } from "../sched/run-event.ts";
import type { ArtifactInput } from "./artifact-input.ts";
import { freeBytes } from "./capacity.ts";
import { type GpuDevice, gpuAccess } from "./gpus.ts";
import { IO_VARIABLES } from "./outputs.ts";
import { shellCommand } from "./shell.ts";
import { composeEnvironment } from "./task-environment.ts";
import type { CommandWork } from "./work.ts";

export interface AttemptEnd {
  readonly exit: ExecutionExit;
  readonly succeeded: boolean;
  readonly reason: FailureReason | null;
  /** Said to the user beside the log. */
  readonly messages: readonly string[];
}

export interface AttemptOptions {
  readonly store: Store;
  readonly backend: Backend;
  readonly scratch: Scratch;
  readonly log: LogWriter;
  /** The GPUs that the attempt leases. */
  readonly gpus: readonly GpuDevice[];
  /** Variables that name this very attempt; never part of a key. */
  readonly identity: Readonly<Record<string, string>>;
  readonly onOutput: (stream: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** The task's process is there. */
  readonly onBegun: () => void;
  /** Asks the task to end within its grace period. */
  readonly cancel: AbortSignal;
  /** Ends it at once. */
  readonly signal: AbortSignal;
}

/** Free bytes under which a failed task is said to have met a full disk. */
const DISK_FULL_BYTES = 1024 * 1024;

export interface Executed {
  readonly end: AttemptEnd;
  /** Resolves when nothing holds the scratch any more. */
  readonly gone: Promise<void>;
}

/** Runs the task's process to its end. Throws `context.*` when it could not be started; a failing task is an answer. */
export async function executeCommand(work: CommandWork, options: AttemptOptions): Promise<Executed> {
  const { backend, scratch, cancel, signal } = options;
  const running = await backend.start(await executionOf(work, options));
  options.onBegun();
  let reason: FailureReason | null = null;
  const end = (why: FailureReason, graceMs: number) => {
    reason ??= why;
    if (killTimer !== null) clearTimeout(killTimer);
    if (graceMs > 0) running.terminate();
    killTimer = setTimeout(() => running.kill(), graceMs);
  };
  let killTimer: Timer | null = null;
  const timer = setTimeout(() => end("timed-out", work.graceMs), work.timeoutMs);
  const onCancel = () => end("cancelled", signal.aborted ? 0 : work.graceMs || LIMITS.cancelGraceMs);
  signal.addEventListener("abort", onCancel);
  cancel.addEventListener("abort", onCancel);
  if (signal.aborted || cancel.aborted) onCancel();
  try {
    const exit = await running.exited;
    return { end: judge(work, exit, reason, scratch), gone: running.gone };
  } finally {
    clearTimeout(timer);
    if (killTimer) clearTimeout(killTimer);
    signal.removeEventListener("abort", onCancel);
    cancel.removeEventListener("abort", onCancel);
  }
}

function judge(work: CommandWork, exit: ExecutionExit, ended: FailureReason | null, scratch: Scratch): AttemptEnd {
  const expected = exit.exitCode !== null && work.successExitCodes.includes(exit.exitCode);
  if (ended === "timed-out") {
    return {
      exit,
      succeeded: false,
      reason: ended,
      messages: [
        `Stopped after its timeout of ${formatDuration(work.timeoutMs)}. Set a longer \`timeout\` if it needs more.`,
      ],
    };
  }
  if (ended === "cancelled") return { exit, succeeded: false, reason: ended, messages: [] };
  if (expected && !exit.outOfMemory) return { exit, succeeded: true, reason: null, messages: [] };
  if (exit.outOfMemory) {
    const limit = work.ask.memoryBytes;
    const said = limit === 0 ? "the machine's memory" : `its memory of ${formatBytes(limit)}`;
    return {
      exit,
      succeeded: false,
      reason: "out-of-memory",
      messages: [`Killed because it went over ${said}. Ask for more with \`agent.memory\`.`],
    };
  }
  if (freeBytes(scratch.root) < DISK_FULL_BYTES) {
    return {
      exit,
      succeeded: false,
      reason: "disk-full",
      messages: ["The disk that holds MESH_HOME is full. Free some space, or run `mesh cache prune`."],
    };
  }
  return { exit, succeeded: false, reason: null, messages: [] };
}

async function executionOf(work: CommandWork, options: AttemptOptions): Promise<Execution> {
  const { scratch, log } = options;
  const started = performance.now();
  const layers = await layerDirectories(work, options.store);
  const environment = composeEnvironment(work.inherited, work.variables);
  const gpus = gpuAccess(options.gpus);
  const { script, hooks } = work;
  const command = shellCommand({
    script,
    hooks,
    layers: options.backend.name === "context" ? systemLayers(work, options.store) : [],
    bashEnv: environment["BASH_ENV"],
    scratch,
  });
  return {
    scratch,
    layers,
    argv: command.argv,
    env: { ...environment, ...command.env, ...gpus.env, ...options.identity },
    ioVariables: IO_VARIABLES,
    network: work.network,
    binds: [...(await artifactBinds(work, options)), ...runDirectoryBind(work, options)],
    limits: {
      memoryBytes: work.limits.memory ? work.ask.memoryBytes : null,
      cpuMilli: work.limits.cpu ? work.ask.cpuMilli : null,
      pids: LIMITS.taskPids,
    },
    tmpfsTmp: work.tmpfs,
    devices: gpus.devices,
    output: (stream, bytes) => {
      log.write(stream, performance.now() - started, bytes);
      options.onOutput(stream, bytes);
    },
  };
}

/** Lower directories that an overlay has besides the layers: the mask, the skeleton, and the host's system. */
const OTHER_LOWERS = 3;

async function layerDirectories(work: CommandWork, store: Store): Promise<readonly string[]> {
  const digests = work.stack.layers.map(({ digest }) => digest);
  const directories =
    digests.length === 0 ? [] : await store.owned.lowers(digests, { most: LIMITS.overlayLowers - OTHER_LOWERS });
  return work.hidden.length === 0
    ? directories
    : [...directories, await store.owned.mask(work.hidden, work.maskParents)];
}

/** Directories of the layers that hold something outside of the workspace, topmost first. */
function systemLayers({ stack }: CommandWork, store: Store): readonly string[] {
  const layers = stack.layers.filter(({ system }) => system !== EMPTY_TREE).toReversed();
  return layers.map(({ digest }) => store.layers.directory(digest));
}

async function artifactBinds(work: CommandWork, options: AttemptOptions): Promise<readonly Bind[]> {
  const binds: Bind[] = [];
  for (const input of work.artifacts) {
    const { path: target, filter } = input;
    const source = await artifactSource(input, options);
    if (options.backend.name === "context") binds.push({ source, target, readonly: true });
    else if (filter !== null || !existsSync(target)) {
      mkdirSync(dirname(target), { recursive: true });
      rmSync(target, { recursive: true, force: true });
      cpSync(source, target, { recursive: true, verbatimSymlinks: true });
    }
  }
  return binds;
}

/** Where the artifact lies on this machine. A blob has no permissions of its own, so a program is copied out. */
async function artifactSource({ artifact, identity, filter }: ArtifactInput, options: AttemptOptions): Promise<string> {
  const { store, scratch, signal } = options;
  if (artifact.kind === "directory") {
    const directory =
      filter === null ? store.layers.directory(artifact.digest) : await store.owned.narrow(artifact, filter, signal);
    if (existsSync(directory)) return directory;
    const empty = join(scratch.root, "empty");
    mkdirSync(empty, { recursive: true });
    return empty;
  }
  if ((artifact.mode & 0o111) === 0) return store.blobs.path(artifact.digest);
  const copy = join(scratch.root, `artifact-${hexOf(identity)}`);
  if (!existsSync(copy)) await store.owned.materialize(artifact, copy);
  return copy;
}

function runDirectoryBind({ runDirectory }: CommandWork, { store, backend, scratch }: AttemptOptions): readonly Bind[] {
  if (runDirectory === null || backend.name !== "context") return [];
  const source = isEmptyLayer(runDirectory)
    ? join(scratch.root, "run")
    : join(store.layers.directory(runDirectory.digest), WORKSPACE_IN_TREE);
  if (isEmptyLayer(runDirectory)) mkdirSync(source, { recursive: true });
  return [{ source, target: backend.paths.runDirectory, readonly: true }];
}
