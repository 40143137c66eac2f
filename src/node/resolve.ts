// From a task's definition to the work it means at this moment of the run: conditions and expressions evaluated, files
// and variables put together, the cache key computed. It reads the store and the disk, and changes neither.

import type { Digest } from "../base/digest.ts";
import { fail } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import { parseBytes, parseCpus, parseDuration } from "../base/units.ts";
import { type Ask, makeAsk } from "../sched/ask.ts";
import { type KeyAgent, type KeyInputs, cacheKey } from "../sched/cache-key.ts";
import type { Agent, CommandTask, PackageTask, Task, Template } from "../spec/definition.ts";
import { type Filter, KEEP_ALL } from "../store/filter.ts";
import type { LayerRef } from "../store/layer.ts";
import { evaluate, interpolate } from "../spec/expression/evaluate.ts";
import { type Scope, isTrue } from "../spec/expression/value.ts";
import { narrowedArtifact } from "./artifact-input.ts";
import { namedFilters, outputFilter } from "./inputs.ts";
import { modelLabel } from "./gpus.ts";
import { hookParts, joinHooks } from "./hooks.ts";
import type { Finished, ResolveContext } from "./resolve-context.ts";
import { shellOf } from "./shell.ts";
import { type ScopeReads, taskScope } from "./scope.ts";
import { joinStacks } from "./stack.ts";
import { type Variables, inheritVariables } from "./task-environment.ts";
import type { CommandWork, Resolution } from "./work.ts";

/** Evaluates a task whose needs are met. Answers at once unless it has to read a working tree or ask a remote. */
export function resolveTask(task: Task, attempt: number, context: ResolveContext): Resolution | Promise<Resolution> {
  const { scope, reads } = taskScope(
    context.run,
    { key: task.key, id: `${context.run.runId}.${task.key}`, attempt, references: task.references },
    context.backend.paths,
  );
  if (task.if !== null && !isTrue(evaluate(task.if, scope))) return { kind: "skip" };
  switch (task.kind) {
    case "command":
      return commandResolution(task, scope, reads, context);
    case "package":
      return packageWork(task, scope, context);
    case "embedded-run":
    case "app":
      return fail("definition.unsupported", `Cannot execute task ${task.key}: ${task.kind} tasks are not executed`);
  }
}

/** Parameters that no built-in package reads: git takes credentials from the user's own configuration. */
const CREDENTIALS: ReadonlySet<string> = new Set([
  "github-token",
  "github-access-token",
  "cursor-origin-token",
  "ssh-key",
]);

async function packageWork(task: PackageTask, scope: Scope, context: ResolveContext): Promise<Resolution> {
  const used = usedBy(task, context);
  const parameters: Record<string, string> = {};
  for (const [name, { value }] of Object.entries(task.with)) {
    if (!CREDENTIALS.has(name)) parameters[name] = interpolate(value, scope);
  }
  const isCached = cacheEnabled(task, scope);
  const common = {
    task,
    parameters,
    used,
    isCached,
    shared: isCached && context.cache,
    ttlMs: ttlOf(task, scope),
    context,
  };
  if (task.name === "mesh/checkout") {
    const { checkoutWork } = await import("./checkout.ts");
    return { kind: "work", work: await checkoutWork(common) };
  }
  if (task.name === "git/clone") {
    const { cloneWork } = await import("./clone.ts");
    return { kind: "work", work: await cloneWork(common) };
  }
  return fail("definition.unsupported", `Cannot execute task ${task.key}: package ${task.name ?? "?"} is not built in`);
}

function commandResolution(
  task: CommandTask,
  scope: Scope,
  reads: ScopeReads,
  context: ResolveContext,
): Resolution | Promise<Resolution> {
  const folder = applyNamedFilters(task, scope, reads, context);
  const finish = commandWork(task, scope, reads, context);
  if (!reads.runDirectory) return { kind: "work", work: finish(null) };
  return context.runDirectory(folder).then((layer) => {
    const { keyDigest } =
      folder.kind === "none" ? { keyDigest: layer.workspace } : context.store.layers.view([layer], folder);
    return { kind: "work", work: finish({ layer, counted: keyDigest }) };
  });
}

/** Notes what the filters of artifacts leave, before expressions read their paths; and gives the filter of `run.dir`. */
function applyNamedFilters(
  task: CommandTask,
  scope: Scope,
  reads: ScopeReads,
  { backend, store }: ResolveContext,
): Filter {
  let folder = KEEP_ALL;
  for (const [path, filter] of namedFilters(task.filter, scope)) {
    const whole = reads.artifacts.get(path);
    if (whole !== undefined) {
      const narrowed = narrowedArtifact(whole.artifact, filter, backend.paths, store);
      reads.narrowed.set(path, narrowed);
      reads.artifacts.delete(path);
      reads.artifacts.set(narrowed.path, narrowed);
    } else if (path === backend.paths.runDirectory) {
      folder = filter;
    } else {
      fail(
        "definition.invalid",
        `Cannot filter ${JSON.stringify(path)} in task ${task.key}: it is no artifact and not the definition's folder`,
        {
          hint: "Name it as `${{ tasks.T.artifacts.K }}` or `${{ run.dir }}`.",
        },
      );
    }
  }
  return folder;
}

/** The definition's folder as a task reads it. */
interface RunFolder {
  readonly layer: LayerRef;
  /** What of it counts. */
  readonly counted: Digest;
}

/** Evaluates all of a command; what is left is the digest of the definition's folder, which takes time. */
function commandWork(
  task: CommandTask,
  scope: Scope,
  reads: ScopeReads,
  context: ResolveContext,
): (runFolder: RunFolder | null) => CommandWork {
  const used = usedBy(task, context);
  const script = interpolate(task.run, scope);
  const own = ownVariables(task, used.variables, scope);
  const artifactPaths = task.outputs.artifacts.map(({ key, path }) => ({ key, path: interpolate(path, scope) }));
  const testResults = task.outputs.testResults.map(({ path, framework, language }) => ({
    path: interpolate(path, scope),
    framework,
    language,
  }));
  const problemFiles = task.outputs.problems.flatMap((problem) =>
    problem.kind === "file" ? [{ path: interpolate(problem.path, scope), format: problem.format }] : [],
  );
  const inputs = context.views.inputs(task.filter, scope, used.stack);
  const ask = askOf(task.agent, scope, context.baseKey);
  const keepFiles = outputFilter(task.outputs.filesystem, scope);
  const keyInputs = (runFolder: RunFolder | null): KeyInputs => ({
    script,
    shell: shellOf().join(" "),
    base: context.baseKey,
    input: { kind: "filtered", workspace: inputs.workspace, system: inputs.system },
    env: includedVariables(used.variables, own),
    secretEnv: [],
    artifacts: artifactsByPath(reads),
    runDir: runFolder?.counted ?? null,
    agent: keyAgent(task.agent, ask),
    outputs: declaredOutputs(task, { artifactPaths, testResults, problemFiles, keepFiles }),
    extras: { ...(task.agent.tmpfs ? { tmpfs: "true" } : {}), ...hookParts(used.hooks) },
  });
  const isCached = cacheEnabled(task, scope);
  const rest = {
    kind: "command",
    identity: context.identityOf(task.key),
    isCached,
    shared: isCached && context.cache,
    ttlMs: ttlOf(task, scope),
    ask,
    stack: used.stack,
    inherited: used.variables,
    hooks: used.hooks,
    envConfig: task.envConfig,
    warnings: inputs.warnings,
    script,
    variables: own,
    filter: inputs.filter,
    hidden: inputs.hidden,
    maskParents: inputs.maskParents,
    keepFiles,
    artifacts: [...reads.artifacts.values()].filter(({ isThere }) => isThere),
    timeoutMs: timeoutOf(task, scope),
    graceMs: task.terminateGraceSeconds * 1000,
    artifactPaths,
    testResults,
    problemFiles,
    problemMatchers: task.outputs.problems.flatMap((problem) => (problem.kind === "matcher" ? [problem.matcher] : [])),
    successExitCodes: task.outputs.successExitCodes,
    keepsFilesystem: task.outputs.filesystem.enabled,
    network: task.agent.network ?? "host",
    tmpfs: task.agent.tmpfs,
    limits: { memory: task.agent.memory !== null, cpu: task.agent.cpus !== null },
  } as const;
  return (runFolder) => ({ ...rest, runDirectory: runFolder?.layer ?? null, ...cacheKey(keyInputs(runFolder)) });
}

/** What a task finds of those that it uses. */
export function usedBy(task: CommandTask | PackageTask, context: Pick<ResolveContext, "finished">): Finished {
  const used = task.use.map((key) => ({ key, ...context.finished(key) }));
  return {
    stack: joinStacks(used.map(({ stack }) => stack)),
    variables: inheritVariables(
      used.map(({ key, variables }) => ({ key, variables })),
      task.envConfig,
    ),
    hooks: joinHooks(used.map(({ hooks }) => hooks)),
  };
}

/** What the definition sets. An entry without a value keeps the inherited one and only says whether it counts. */
function ownVariables(
  task: CommandTask,
  inherited: Variables,
  scope: Scope,
): readonly { name: string; value: string; cacheKey: "included" | "excluded" }[] {
  return task.env.flatMap(({ name, value, cacheKey }) => {
    const text = value === null ? inherited.get(name)?.value : interpolate(value, scope);
    return text === undefined ? [] : [{ name, value: text, cacheKey }];
  });
}

function includedVariables(
  inherited: Variables,
  own: readonly { name: string; value: string; cacheKey: string }[],
): Readonly<Record<string, string>> {
  if (inherited.size === 0 && own.length === 0) return {};
  const included: Record<string, string> = {};
  for (const [name, variable] of inherited) if (variable.cacheKey === "included") included[name] = variable.value;
  for (const { name, value, cacheKey } of own) {
    if (cacheKey === "included") included[name] = value;
    else delete included[name];
  }
  return included;
}

function cacheEnabled(task: CommandTask | PackageTask, scope: Scope): boolean {
  return typeof task.cache.enabled === "boolean" ? task.cache.enabled : isTrue(evaluate(task.cache.enabled, scope));
}

/** Milliseconds for which a result is good; null for ever. */
function ttlOf({ key, cache }: CommandTask | PackageTask, scope: Scope): number | null {
  if (cache.ttl === null) return cache.ttlMs;
  const text = interpolate(cache.ttl, scope);
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  return fail("definition.invalid", `Cannot read cache.ttl ${JSON.stringify(text)} of task ${key}`, {
    hint: 'Write it like "1 min", "2 hrs" or "1 day".',
  });
}

function timeoutOf(task: CommandTask, scope: Scope): number {
  if (task.timeout === null) return LIMITS.taskTimeoutMs;
  const text = interpolate(task.timeout, scope);
  const ms = /^\d+$/.test(text) ? Number(text) * 60_000 : parseDuration(text);
  if (ms === null || ms <= 0)
    return fail("definition.invalid", `Cannot read timeout ${JSON.stringify(text)} of task ${task.key}`, {
      hint: 'Write it like "30s", "10m" or "2h".',
    });
  return Math.min(ms, LIMITS.taskTimeoutMaxMs);
}

interface Declared {
  readonly artifactPaths: CommandWork["artifactPaths"];
  readonly testResults: CommandWork["testResults"];
  readonly problemFiles: CommandWork["problemFiles"];
  readonly keepFiles: CommandWork["keepFiles"];
}

// A hit must bring all that the definition declares, so what it declares is part of the key.
function declaredOutputs(task: CommandTask, declared: Declared): Readonly<Record<string, string>> {
  const { outputs } = task;
  const entries: Record<string, string> = {};
  for (const { key, path } of declared.artifactPaths) entries[`artifact ${key}`] = path;
  for (const { path, framework, language } of declared.testResults)
    entries[`test-results ${path}`] = [framework, language].join(" ").trim();
  for (const { path, format } of declared.problemFiles) entries[`problems ${path}`] = format;
  for (const problem of outputs.problems) if (problem.kind === "matcher") entries[`problems ${problem.matcher}`] = "";
  if (outputs.successExitCodes.join() !== "0") entries["success-exit-codes"] = outputs.successExitCodes.join();
  if (!outputs.filesystem.enabled) entries["filesystem"] = "false";
  else if (declared.keepFiles !== null) entries["filesystem"] = declared.keepFiles.text;
  return entries;
}

function artifactsByPath({ artifacts }: ScopeReads): Readonly<Record<string, Digest>> {
  if (artifacts.size === 0) return {};
  return Object.fromEntries([...artifacts].map(([path, { identity }]) => [path, identity]));
}

/** What a task asks for when its definition does not say: one CPU, and no memory set aside. */
const DEFAULT_ASK: Ask = makeAsk({ cpuMilli: 1000 });
const NO_KEY_AGENT: KeyAgent = {
  cpuMilli: null,
  memoryBytes: null,
  gpus: null,
  gpuMemoryBytes: null,
  os: null,
  arch: null,
  labels: [],
  network: null,
};

function askOf(agent: Agent, scope: Scope, baseKey: string): Ask {
  const amount = (template: Template | null, what: string, parse: (text: string) => number | null): number | null => {
    if (template === null) return null;
    const text = interpolate(template, scope);
    return (
      parse(text) ??
      fail("definition.invalid", `Cannot read agent.${what} ${JSON.stringify(text)}`, {
        hint: 'CPUs are written like 2 or 0.5, memory like "4gb".',
      })
    );
  };
  // a number of GPUs, or the model of the one that is wanted
  const gpu = agent.gpu === null ? "" : interpolate(agent.gpu, scope).trim();
  const model = /^\d*$/.test(gpu) ? null : gpu;
  return makeAsk({
    cpuMilli: amount(agent.cpus, "cpus", parseCpus) ?? DEFAULT_ASK.cpuMilli,
    memoryBytes: amount(agent.memory, "memory", parseBytes) ?? 0,
    diskBytes: amount(agent.disk, "disk", parseBytes) ?? 0,
    gpus: model === null ? (gpu === "" ? 0 : Number(gpu)) : 1,
    gpuMemoryBytes: amount(agent.gpuMemory, "gpu-memory", parseBytes) ?? 0,
    os: agent.os,
    arch: agent.arch,
    labels: model === null ? agent.labels : [...agent.labels, modelLabel(model)],
    node: agent.node,
    baseKey,
  });
}

// Only what the definition says counts: another machine's default must not make another key.
function keyAgent(agent: Agent, ask: Ask): KeyAgent {
  return {
    ...NO_KEY_AGENT,
    cpuMilli: agent.cpus === null ? null : ask.cpuMilli,
    memoryBytes: agent.memory === null ? null : ask.memoryBytes,
    gpus: ask.gpus === 0 ? null : ask.gpus,
    gpuMemoryBytes: agent.gpuMemory === null ? null : ask.gpuMemoryBytes,
    os: agent.os,
    arch: agent.arch,
    labels: agent.labels,
    network: agent.network,
  };
}
