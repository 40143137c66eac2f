// From a task's definition to the work it means at this moment of the run: conditions and expressions evaluated, files
// and variables put together, the cache key computed. It reads the store and the disk, and changes neither.

import { type Digest, digestOf, hexOf } from "../base/digest.ts";
import { fail } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import { parseBytes, parseCpus, parseDuration } from "../base/units.ts";
import type { Backend } from "../exec/backend.ts";
import { type Ask, makeAsk } from "../sched/ask.ts";
import { type KeyAgent, type KeyInputs, cacheKey } from "../sched/cache-key.ts";
import type { Agent, CommandTask, PackageTask, Task, Template } from "../spec/definition.ts";
import type { LayerRef } from "../store/layer.ts";
import { evaluate, interpolate } from "../spec/expression/evaluate.ts";
import { type Scope, isTrue } from "../spec/expression/value.ts";
import { checkoutWork } from "./checkout.ts";
import { cloneWork } from "./clone.ts";
import { folderFilters, outputFilter } from "./inputs.ts";
import type { ResolveContext } from "./resolve-context.ts";
import { shellOf } from "./shell.ts";
import { type ScopeReads, taskScope } from "./scope.ts";
import { type Stack, joinStacks } from "./stack.ts";
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

async function packageWork(task: PackageTask, scope: Scope, context: ResolveContext): Promise<Resolution> {
  const used = usedBy(task, context);
  const parameters: Record<string, string> = {};
  for (const [name, { value }] of Object.entries(task.with)) {
    if (value !== null) parameters[name] = interpolate(value, scope);
  }
  const common = {
    task,
    parameters,
    used,
    shared: cacheEnabled(task, scope) && context.cache,
    ttlMs: task.cache.ttlMs,
    context,
  };
  if (task.name === "mesh/checkout") return { kind: "work", work: await checkoutWork(common) };
  if (task.name === "git/clone") return { kind: "work", work: await cloneWork(common) };
  return fail("definition.unsupported", `Cannot execute task ${task.key}: package ${task.name ?? "?"} is not built in`);
}

function commandResolution(
  task: CommandTask,
  scope: Scope,
  reads: ScopeReads,
  context: ResolveContext,
): Resolution | Promise<Resolution> {
  const finish = commandWork(task, scope, reads, context);
  if (!reads.runDirectory) return { kind: "work", work: finish(null) };
  const patterns = folderFilters(task.filter, scope).get(context.backend.paths.runDirectory) ?? [];
  return context.runDirectory(patterns).then((layer) => ({ kind: "work", work: finish(layer) }));
}

/** Evaluates all of a command; what is left is the digest of the definition's folder, which takes time. */
function commandWork(
  task: CommandTask,
  scope: Scope,
  reads: ScopeReads,
  context: ResolveContext,
): (runDirectory: LayerRef | null) => CommandWork {
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
  const ask = askOf(task.agent, scope);
  const keyInputs = (runDirectory: LayerRef | null): KeyInputs => ({
    script,
    shell: shellOf().join(" "),
    base: context.baseKey,
    input: { kind: "filtered", workspace: inputs.workspace, system: inputs.system },
    env: includedVariables(used.variables, own),
    secretEnv: [],
    artifacts: artifactsByPath(reads, context.backend),
    runDir: runDirectory?.workspace ?? null,
    agent: keyAgent(task.agent, ask),
    outputs: declaredOutputs(task, { artifactPaths, testResults, problemFiles }),
    extras: task.agent.tmpfs ? { tmpfs: "true" } : {},
  });
  const rest = {
    kind: "command",
    identity: context.identityOf(task.key),
    task,
    shared: cacheEnabled(task, scope) && context.cache,
    ttlMs: task.cache.ttlMs,
    ask,
    stack: used.stack,
    inherited: used.variables,
    envConfig: task.envConfig,
    warnings: inputs.warnings,
    script,
    variables: own,
    hidden: inputs.hidden,
    maskParents: inputs.maskParents,
    keepFiles: outputFilter(task.outputs.filesystem, scope),
    artifacts: [...reads.artifacts.values()],
    timeoutMs: timeoutOf(task, scope),
    graceMs: task.terminateGraceSeconds * 1000,
    artifactPaths,
    testResults,
    problemFiles,
  } as const;
  return (runDirectory) => ({ ...rest, runDirectory, ...cacheKey(keyInputs(runDirectory)) });
}

interface Used {
  readonly stack: Stack;
  readonly variables: Variables;
}

function usedBy(task: CommandTask | PackageTask, context: ResolveContext): Used {
  const used = task.use.map((key) => ({ key, ...context.finished(key) }));
  return {
    stack: joinStacks(used.map(({ stack }) => stack)),
    variables: inheritVariables(
      used.map(({ key, variables }) => ({ key, variables })),
      task.envConfig,
    ),
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
  const { enabled, workspaceFilter, systemFilter } = outputs.filesystem;
  if (!enabled) entries["filesystem"] = "false";
  else if (workspaceFilter.length + systemFilter.length > 0)
    entries["filesystem"] = digestOf(JSON.stringify([workspaceFilter, systemFilter]));
  return entries;
}

function artifactsByPath(reads: ScopeReads, backend: Backend): Readonly<Record<string, Digest>> {
  if (reads.artifacts.size === 0) return {};
  const byPath: Record<string, Digest> = {};
  for (const { digest, name } of reads.artifacts.values())
    byPath[`${backend.paths.artifactFolder(hexOf(digest))}/${name}`] = digest;
  return byPath;
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

function askOf(agent: Agent, scope: Scope): Ask {
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
  return makeAsk({
    cpuMilli: amount(agent.cpus, "cpus", parseCpus) ?? DEFAULT_ASK.cpuMilli,
    memoryBytes: amount(agent.memory, "memory", parseBytes) ?? 0,
    diskBytes: amount(agent.disk, "disk", parseBytes) ?? 0,
    gpus: amount(agent.gpu, "gpu", (text) => (/^\d+$/.test(text.trim()) ? Number(text) : null)) ?? 0,
    gpuMemoryBytes: amount(agent.gpuMemory, "gpu-memory", parseBytes) ?? 0,
    os: agent.os,
    arch: agent.arch,
    labels: agent.labels,
    node: agent.node,
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
