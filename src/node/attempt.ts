// One attempt at a piece of work, from its lease to its result: run it, read what it wrote, take its artifacts, make its
// layer. What is half done when it fails leaves nothing in the store.

import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../base/errors.ts";
import type { Backend, Scratch } from "../exec/backend.ts";
import { printable } from "../base/text.ts";
import type { LogWriter } from "../store/io/log-writer.ts";
import type { Store } from "../store/io/store.ts";
import { EMPTY_LAYER, type LayerRef } from "../store/layer.ts";
import { decodeFrames } from "../store/log-frames.ts";
import { WORKSPACE_IN_TREE } from "../store/paths.ts";
import type { ImageSettings, LogRef, TaskResult } from "../store/result.ts";
import { type LeftBehind, collectArtifacts, collectTestResults } from "./artifacts.ts";
import { cloneVariables, executeClone } from "./clone.ts";
import { type AttemptEnd, type Executed, executeCommand } from "./execute.ts";
import type { GpuDevice } from "./gpus.ts";
import { writtenHooks } from "./hooks.ts";
import { Written } from "./outputs.ts";
import { findProblems } from "./problems.ts";
import { hasScriptFiles } from "./shell.ts";
import type { CommandWork, TaskWork } from "./work.ts";
import { faultText } from "./fault-text.ts";

export interface AttemptContext {
  readonly store: Store;
  readonly backend: Backend;
  readonly scratch: Scratch;
  readonly log: LogWriter;
  /** The GPUs that the attempt leases. */
  readonly gpus: readonly GpuDevice[];
  readonly nodeName: string;
  readonly run: string;
  readonly task: string;
  readonly identity: Readonly<Record<string, string>>;
  readonly onOutput: (stream: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** The task's process is there. */
  readonly onBegun: () => void;
  /** Asks the task to end within its grace period. */
  readonly cancel: AbortSignal;
  /** Ends it at once. */
  readonly signal: AbortSignal;
}

export interface Attempted {
  readonly end: AttemptEnd;
  /** What it left, whether it succeeded or not. Only a success is worth keeping for others. */
  readonly result: TaskResult;
  /** For the user, beside the log. */
  readonly messages: readonly string[];
  /** Whether the scratch is as it was before. */
  readonly clean: boolean;
  /** Resolves when nothing holds the scratch any more. */
  readonly gone: Promise<void>;
}

const NO_USE = { cpuMs: 0, memoryBytesMax: null } as const;
const DONE: AttemptEnd = {
  exit: { exitCode: 0, signal: null, outOfMemory: false, used: NO_USE },
  succeeded: true,
  reason: null,
  messages: [],
};
const NO_PATHS: ReadonlySet<string> = new Set();

/** What differs from task to task in what they leave. */
type Left = Partial<Omit<TaskResult, "key" | "log">>;

/** Performs the attempt. Throws when the machinery failed; a task that fails is an answer. */
export async function attempt(work: TaskWork, context: AttemptContext): Promise<Attempted> {
  const startedAtMs = Date.now();
  const started = performance.now();
  const finish = ({ end, left, messages, clean }: Collected, log: LogRef, gone = Promise.resolve()): Attempted => ({
    end,
    messages: [...end.messages, ...messages],
    clean,
    gone,
    result: {
      key: work.key,
      identity: work.identity,
      exitCode: end.exit.exitCode ?? 0,
      layer: EMPTY_LAYER,
      values: {},
      env: [],
      artifacts: [],
      links: {},
      errors: [],
      testResults: [],
      problems: [],
      image: null,
      startedAtMs,
      durationMs: Math.round(performance.now() - started),
      node: context.nodeName,
      used: end.exit.used,
      run: context.run,
      task: context.task,
      ...left,
      log,
    },
  });
  try {
    switch (work.kind) {
      case "command": {
        const { end, gone } = await executeCommand(work, context);
        const log = await context.log.finish();
        return finish(await collect(work, { end, gone }, log, context), log, gone);
      }
      case "checkout":
        return finish(doneWith({ layer: work.layer }), await context.log.finish());
      case "clone": {
        const workspace = join(context.scratch.upper, WORKSPACE_IN_TREE);
        mkdirSync(workspace);
        await executeClone(work, workspace, context.signal);
        const layer = await context.store.owned.commit({ upper: context.scratch.upper, maskedDirectories: NO_PATHS });
        const env = [...cloneVariables(work)].map(([name, variable]) => ({ name, ...variable }));
        return finish(doneWith({ layer, env }), await context.log.finish());
      }
    }
  } finally {
    context.log.discard();
  }
}

interface Collected {
  readonly end: AttemptEnd;
  readonly left: Left;
  readonly messages: readonly string[];
  /** Whether the scratch is as it was before. */
  readonly clean: boolean;
}

/** What a package leaves that runs no process. */
function doneWith(left: Left): Collected {
  return { end: DONE, left, messages: [], clean: false };
}

/** Reads back what a command left. What it wrote wrongly makes the task fail, and is said. */
async function collect(
  work: CommandWork,
  { end, gone }: Executed,
  log: LogRef,
  context: AttemptContext,
): Promise<Collected> {
  const { store, scratch } = context;
  const written = new Written(scratch.io);
  const roots = rootsOf(work, context);
  const behind: LeftBehind = { work, written, roots, store };
  try {
    refuseDynamicTasks(written);
    const errors = Object.values(written.entries("errors"));
    const left: Left = {
      values: written.entries("values"),
      env: variablesOf(written),
      artifacts: await collectArtifacts(behind, end.succeeded),
      links: written.entries("links"),
      errors,
      testResults: await collectTestResults(behind),
      problems: findProblems(work, roots, () => textOfLog(store, log)),
      image: imageOf(written),
      ...hooksOf(written),
    };
    if (!end.succeeded) return { end, left, messages: errors, clean: false };
    // what a mount still holds is nobody's layer
    if (readdirSync(scratch.upper).length > 0) await gone;
    const layer = await commitLayer(work, context);
    return {
      end,
      left: { ...left, layer },
      messages: errors,
      clean: written.isNothing && layer === EMPTY_LAYER && !hasScriptFiles(scratch),
    };
  } catch (error) {
    if (!(error instanceof MeshError) || error.code !== "task.failed") throw error;
    const messages = [faultText(error)];
    return {
      end: end.succeeded ? { ...end, succeeded: false, reason: "output-invalid" } : end,
      left: {},
      messages,
      clean: false,
    };
  }
}

/** A run does not grow: better a task that fails than tasks that never run. */
function refuseDynamicTasks(written: Written): void {
  const [name] = written.names("dynamic-tasks");
  if (name === undefined) return;
  throw new MeshError("task.failed", `Cannot add the tasks of $MESH_DYNAMIC_TASKS/${printable(name)} to the run`, {
    hint: "This version does not execute dynamic tasks: write them into the definition.",
  });
}

/** The task's filesystem as it left it, topmost first: its own changes, what its filter hides, its layers. */
function rootsOf({ hidden, maskParents, stack }: CommandWork, { store, scratch }: AttemptContext): readonly string[] {
  const layers = stack.layers.toReversed().map(({ digest }) => store.layers.directory(digest));
  return hidden.length === 0
    ? [scratch.upper, ...layers]
    : [scratch.upper, store.layers.mask(hidden, maskParents), ...layers];
}

async function commitLayer(work: CommandWork, { store, scratch, signal }: AttemptContext): Promise<LayerRef | null> {
  if (!work.keepsFilesystem) return null;
  return await store.owned.commit({
    upper: scratch.upper,
    maskedDirectories: work.hidden.length === 0 ? NO_PATHS : new Set(work.hidden),
    keep: work.keepFiles === null ? undefined : (path) => work.keepFiles?.keeps(path) ?? true,
    signal,
  });
}

function textOfLog(store: Store, log: LogRef): string {
  const decoder = new TextDecoder();
  return decodeFrames(store.readLog(log))
    .map((frame) => (frame.kind === "output" ? decoder.decode(frame.bytes) : ""))
    .join("");
}

function variablesOf(written: Written): TaskResult["env"] {
  const variables: { name: string; value: string; cacheKey: "included" | "excluded" }[] = [];
  for (const [name, value] of Object.entries(written.entries("env")))
    variables.push({ name, value, cacheKey: "included" });
  for (const [name, value] of Object.entries(written.entries("cache-key-excluded-env")))
    variables.push({ name, value, cacheKey: "excluded" });
  return variables;
}

function hooksOf(written: Written): Pick<TaskResult, "hooks"> {
  const hooks = writtenHooks(written);
  return hooks.length === 0 ? {} : { hooks };
}

function imageOf(written: Written): ImageSettings | null {
  const entries = written.entries("image");
  const labels = written.entries("image/labels");
  if (Object.keys(entries).length === 0 && Object.keys(labels).length === 0) return null;
  const text = (name: string) => entries[name] ?? null;
  return {
    command: argvOf(entries, "command"),
    entrypoint: argvOf(entries, "entrypoint"),
    user: text("user"),
    shell: text("shell"),
    workspace: text("workspace"),
    labels,
  };
}

/** `NAME.json` holds a list, `NAME` a shell command. */
function argvOf(entries: Readonly<Record<string, string>>, name: string): readonly string[] | null {
  const json = entries[`${name}.json`];
  if (json !== undefined) {
    const value = parseJson(json);
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    throw new MeshError("task.failed", `Cannot read $MESH_IMAGE/${name}.json: a list of texts was expected`, {
      hint: 'Write it like ["serve", "--port", "80"].',
    });
  }
  const text = entries[name];
  return text === undefined ? null : ["/bin/sh", "-c", text];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
