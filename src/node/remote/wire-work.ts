// A command's work as it crosses to another machine: plain values, without anything of this machine's disk. What the receiver
// can work out itself (its files' masks, where artifacts lie) is not sent, and what the cache key says of it is compared.

import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import type { TaskPaths } from "../../exec/backend.ts";
import type { ContentRef } from "../../mesh/content.ts";
import type { Ask } from "../../sched/ask.ts";
import { KEY_SCHEME, keyOf, partName } from "../../sched/cache-key.ts";
import { fields, isBoolean, isCount, isNumber, listOf, mapOf, nullable, oneOf } from "../../sched/check-json.ts";
import { checkAsk } from "../../sched/event-check.ts";
import { type FilterEntry, compileFilter } from "../../store/filter.ts";
import type { Store } from "../../store/io/store.ts";
import { EMPTY_LAYER, EMPTY_TREE, type LayerRef } from "../../store/layer.ts";
import type { Artifact, Hook, KeyParts } from "../../store/result.ts";
import { narrowedArtifact, wholeArtifact } from "../artifact-input.ts";
import { PROCESS_BASE } from "../base-key.ts";
import { type Inputs, InputViews, type OutputPatterns, compileOutputFilter } from "../inputs.ts";
import { shellOf } from "../shell.ts";
import { EMPTY_STACK, type Stack } from "../stack.ts";
import type { CommandWork, TaskWork } from "../work.ts";
import {
  checkArtifact,
  isDigest,
  isShortText,
  isShortTextOrNull,
  isVariableName,
  taken,
  textUpTo,
  tuple,
} from "./wire-check.ts";

type Variable = readonly [name: string, value: string, cacheKey: "included" | "excluded"];

/** The fields of a `CommandWork` that cross, flattened. The script is the part of that name. */
export interface OfferedWork {
  readonly identity: string;
  readonly key: Digest;
  readonly parts: KeyParts;
  readonly isCached: boolean;
  readonly shared: boolean;
  readonly ttlMs: number | null;
  readonly ask: Ask;
  /** Bottom first. */
  readonly layers: readonly Digest[];
  readonly inherited: readonly Variable[];
  readonly variables: readonly (readonly [name: string, value: string])[];
  readonly hooks: readonly Hook[];
  readonly filter: readonly FilterEntry[] | null;
  readonly keep: OutputPatterns | null;
  readonly artifacts: readonly { readonly artifact: Artifact; readonly filter: readonly FilterEntry[] | null }[];
  readonly runDirectory: Digest | null;
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly artifactPaths: CommandWork["artifactPaths"];
  readonly testResults: CommandWork["testResults"];
  readonly problemFiles: CommandWork["problemFiles"];
  readonly problemMatchers: readonly string[];
  readonly successExitCodes: readonly number[];
  readonly keepsFilesystem: boolean;
  readonly network: CommandWork["network"];
  readonly tmpfs: boolean;
  readonly limits: CommandWork["limits"];
}

const value = textUpTo(LIMITS.definitionBytes);
const pathText = textUpTo(LIMITS.pathChars);
const cacheKeyWord = oneOf(["included", "excluded"]);
const most = LIMITS.outputEntries;
const filterEntries = listOf(fields({ pattern: pathText, cacheKey: cacheKeyWord }), LIMITS.filterEntries);
const patterns = nullable(listOf(pathText, LIMITS.filterEntries));

const checkWork = fields({
  identity: pathText,
  key: isDigest,
  parts: mapOf(value),
  isCached: isBoolean,
  shared: isBoolean,
  ttlMs: nullable(isCount),
  ask: checkAsk,
  layers: listOf(isDigest, LIMITS.tasks),
  inherited: listOf(tuple(isVariableName, value, cacheKeyWord), LIMITS.variables),
  variables: listOf(tuple(isVariableName, value), LIMITS.variables),
  hooks: listOf(fields({ when: oneOf(["before", "after"]), name: isShortText, script: value }), LIMITS.variables),
  filter: nullable(filterEntries),
  keep: nullable(fields({ workspace: patterns, system: patterns })),
  artifacts: listOf(fields({ artifact: checkArtifact, filter: nullable(filterEntries) }), LIMITS.variables),
  runDirectory: nullable(isDigest),
  timeoutMs: isCount,
  graceMs: isCount,
  artifactPaths: listOf(fields({ key: isShortText, path: pathText }), most),
  testResults: listOf(fields({ path: pathText, framework: isShortTextOrNull, language: isShortTextOrNull }), most),
  problemFiles: listOf(fields({ path: pathText, format: isShortText }), most),
  problemMatchers: listOf(isShortText, most),
  successExitCodes: listOf(isNumber, 256),
  keepsFilesystem: isBoolean,
  network: oneOf(["none", "host", "nat"]),
  tmpfs: isBoolean,
  limits: fields({ memory: isBoolean, cpu: isBoolean }),
});

/** Writes a work down for another machine. */
export function writeWork(work: CommandWork): OfferedWork {
  return {
    identity: work.identity,
    key: work.key,
    parts: work.parts,
    isCached: work.isCached,
    shared: work.shared,
    ttlMs: work.ttlMs,
    ask: work.ask,
    layers: work.stack.layers.map(({ digest }) => digest),
    inherited: [...work.inherited].map(([name, variable]) => [name, variable.value, variable.cacheKey]),
    variables: work.variables.map(({ name, value: text }) => [name, text]),
    hooks: work.hooks,
    filter: work.filter,
    keep: work.keepFiles?.patterns ?? null,
    artifacts: work.artifacts.map(({ artifact, filter }) => ({ artifact, filter: filter?.entries ?? null })),
    runDirectory: work.runDirectory?.digest ?? null,
    timeoutMs: work.timeoutMs,
    graceMs: work.graceMs,
    artifactPaths: work.artifactPaths,
    testResults: work.testResults,
    problemFiles: work.problemFiles,
    problemMatchers: work.problemMatchers,
    successExitCodes: work.successExitCodes,
    keepsFilesystem: work.keepsFilesystem,
    network: work.network,
    tmpfs: work.tmpfs,
    limits: work.limits,
  };
}

/**
 * Takes a work that another machine wrote down. Throws `peer.misbehaved` when it is none, or its key is not that of its parts;
 * `peer.refused` when this machine would run it in another way than its key says.
 */
export function readWork(from: unknown): OfferedWork {
  const work = taken<OfferedWork>(checkWork, from, "work");
  const { parts, ask } = work;
  if (keyOf(parts) !== work.key || parts["script"] === undefined) throw lie("its key is not that of its parts");
  if (parts["base"] !== ask.baseKey) throw lie("it asks for another base than its key says");
  if (work.timeoutMs > LIMITS.taskTimeoutMaxMs) throw lie("its timeout is too long");
  if (parts["base"]?.startsWith(PROCESS_BASE))
    throw new MeshError(
      "peer.refused",
      "Cannot run the task: without isolation this machine runs its own user's tasks alone",
    );
  if (parts["scheme"] !== String(KEY_SCHEME))
    throw new MeshError("peer.version", "Cannot run the task: the machines make cache keys in different ways");
  if (parts["shell"] !== shellOf().join(" "))
    throw new MeshError(
      "peer.refused",
      `Cannot run the task: its shell is ${parts["shell"]}, here it would be ${shellOf().join(" ")}`,
    );
  return work;
}

/** The work as this machine would book it, before what it builds on is here. */
export function draftOf(offered: OfferedWork): CommandWork {
  return withInputs(offered, { stack: EMPTY_STACK, artifacts: [], runDirectory: null, hidden: [], maskParents: [] });
}

/**
 * The work over what lies in this store. Throws `blob.missing` when not all of it does; `peer.misbehaved` when its key says
 * otherwise than what the task would find.
 */
export function completeWork(offered: OfferedWork, store: Store, paths: TaskPaths): CommandWork {
  const layers = offered.layers.map((digest) => layerOf(digest, store));
  const stack: Stack = { entries: layers.map((layer) => ({ task: "", layer })), layers };
  const inputs = new InputViews(store).through(offered.filter, stack);
  compareInputs(offered.parts, inputs);
  const artifacts = offered.artifacts.map(({ artifact, filter }) => {
    const input =
      filter === null
        ? wholeArtifact(artifact, paths)
        : narrowedArtifact(artifact, compileFilter(filter), paths, store);
    if (offered.parts[partName("artifact", input.path)] !== input.identity)
      throw lie("its key does not name an artifact that it is given");
    return input;
  });
  const { hidden, maskParents } = inputs;
  const runDirectory = offered.runDirectory === null ? null : layerOf(offered.runDirectory, store);
  return withInputs(offered, { stack, artifacts, runDirectory, hidden, maskParents });
}

/** What a task needs in the store of the machine that runs it, the empty layer left out. */
export function contentOf(work: TaskWork): readonly ContentRef[] {
  const layers = work.stack.layers.map(({ digest }) => digest);
  if (work.kind !== "command") return [];
  const artifacts = work.artifacts.map(({ artifact }) => artifact);
  return contentRefs({ layers, artifacts, runDirectory: work.runDirectory?.digest ?? null });
}

/** The same of a work that was offered. */
export function contentOfOffered({ layers, artifacts, runDirectory }: OfferedWork): readonly ContentRef[] {
  return contentRefs({ layers, artifacts: artifacts.map(({ artifact }) => artifact), runDirectory });
}

function contentRefs(needs: {
  readonly layers: readonly Digest[];
  readonly artifacts: readonly Artifact[];
  readonly runDirectory: Digest | null;
}): readonly ContentRef[] {
  const layers = new Set(needs.layers);
  const blobs = new Set<Digest>();
  for (const { kind, digest } of needs.artifacts) (kind === "directory" ? layers : blobs).add(digest);
  if (needs.runDirectory !== null) layers.add(needs.runDirectory);
  layers.delete(EMPTY_TREE);
  return [
    ...[...layers].map((digest): ContentRef => ({ kind: "layer", digest })),
    ...[...blobs].map((digest): ContentRef => ({ kind: "blob", digest })),
  ];
}

function withInputs(
  offered: OfferedWork,
  inputs: Pick<CommandWork, "stack" | "artifacts" | "runDirectory" | "hidden" | "maskParents">,
): CommandWork {
  const {
    layers: _layers,
    keep,
    inherited,
    variables,
    artifacts: _artifacts,
    runDirectory: _folder,
    ...rest
  } = offered;
  return {
    kind: "command",
    ...rest,
    ...inputs,
    script: offered.parts["script"] ?? "",
    inherited: new Map(inherited.map(([name, text, cacheKey]) => [name, { value: text, cacheKey }])),
    variables: variables.map(([name, text]) => ({ name, value: text })),
    keepFiles: keep === null ? null : compileOutputFilter(keep),
    // what a task hands on is worked out where its run is driven
    envConfig: { inherit: "all-used-tasks", merge: {} },
    warnings: [],
  };
}

function layerOf(digest: Digest, store: Store): LayerRef {
  if (digest === EMPTY_TREE) return EMPTY_LAYER;
  return store.layers.ref(digest) ?? missing(digest);
}

function missing(digest: Digest): never {
  throw new MeshError("blob.missing", `Cannot find layer ${digest.slice(7, 19)}`);
}

/** A key that does not follow from the files would serve this task's result for others. */
function compareInputs(parts: KeyParts, inputs: Inputs): void {
  if (parts["workspace"] !== inputs.workspace || parts["system"] !== inputs.system.join(" "))
    throw lie("its key is not that of the files that it is given");
}

function lie(why: string): MeshError {
  return new MeshError("peer.misbehaved", `Cannot take the work that was offered: ${why}`);
}
