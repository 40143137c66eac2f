// A task's result as it crosses between machines: its JSON, and the small trees of its layers. What is received is checked in
// full before anything is believed: a peer may be broken or lie.

import type { Digest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { ContentExchange, ContentRef } from "../../mesh/content.ts";
import { fields, isCount, isNumber, listOf, mapOf, nullable, oneOf } from "../../sched/check-json.ts";
import type { Store } from "../../store/io/store.ts";
import { EMPTY_LAYER, EMPTY_TREE, type LayerRef } from "../../store/layer.ts";
import { type TaskResult, needsOf } from "../../store/result.ts";
import {
  bytesUpTo,
  checkArtifact,
  isDigest,
  isFileName,
  isRun,
  isShortText,
  isShortTextOrNull,
  isTaskKey,
  isVariableName,
  taken,
  textUpTo,
  tuple,
} from "./wire-check.ts";

/** A result on its way. */
export interface Parcel {
  /** The result's JSON; null when it is too large, and then a blob of the sender. */
  readonly json: string | null;
  readonly blob: Digest | null;
  /** Canonical bytes of the trees of its layers, as far as they are small. */
  readonly trees: readonly (readonly [Digest, Uint8Array])[];
}

export const checkParcel = fields({
  json: nullable(textUpTo(LIMITS.parcelInlineBytes)),
  blob: nullable(isDigest),
  trees: listOf(tuple(isDigest, bytesUpTo(LIMITS.parcelTreeBytes)), LIMITS.outputEntries),
});

const text = textUpTo(LIMITS.outputEntryBytes);
const pathText = textUpTo(LIMITS.pathChars);
const most = LIMITS.outputEntries;
const layer = fields({ digest: isDigest, workspace: isDigest, system: isDigest, sizeBytes: isCount, entries: isCount });
const argv = nullable(listOf(text, most));

const checkResult = fields({
  key: isDigest,
  identity: pathText,
  exitCode: isNumber,
  layer: nullable(layer),
  values: mapOf(text),
  env: listOf(fields({ name: isVariableName, value: text, cacheKey: oneOf(["included", "excluded"]) }), 2 * most),
  artifacts: listOf(checkArtifact, 2 * most),
  links: mapOf(text),
  errors: listOf(text, most),
  testResults: listOf(
    fields({
      path: pathText,
      framework: isShortTextOrNull,
      language: isShortTextOrNull,
      digest: isDigest,
      sizeBytes: isCount,
    }),
    most,
  ),
  problems: listOf(
    fields({
      severity: oneOf(["error", "warning", "notice"]),
      message: text,
      file: nullable(pathText),
      line: nullable(isCount),
      column: nullable(isCount),
      code: isShortTextOrNull,
    }),
    most,
  ),
  image: nullable(
    fields({
      command: argv,
      entrypoint: argv,
      user: nullable(text),
      shell: nullable(text),
      workspace: nullable(text),
      labels: mapOf(text),
    }),
  ),
  hooks: (value, path) =>
    value === undefined
      ? null
      : listOf(fields({ when: oneOf(["before", "after"]), name: isFileName, script: text }), 2 * most)(value, path),
  log: (value, path) => checkLog(value, path),
  startedAtMs: isNumber,
  durationMs: isCount,
  node: isShortText,
  used: fields({ cpuMs: isNumber, memoryBytesMax: nullable(isCount) }),
  run: isRun,
  task: isTaskKey,
});

const checkLog = (value: unknown, path: string) => {
  const kind = (value as { kind?: unknown } | null)?.kind;
  return kind === "blob"
    ? fields({ digest: isDigest, sizeBytes: isCount })(value, path)
    : fields({ kind: oneOf(["inline"]), base64: textUpTo(2 * LIMITS.logInlineBytes), sizeBytes: isCount })(value, path);
};

/** Packs a result of this machine's store. */
export function packResult(result: TaskResult, store: Store): Parcel {
  const json = JSON.stringify(result);
  const isSmall = json.length <= LIMITS.parcelInlineBytes;
  const trees: [Digest, Uint8Array][] = [];
  let room = LIMITS.parcelTreeBytes;
  for (const digest of needsOf(result).layers) {
    const bytes = store.layers.treeBytes(digest);
    if (bytes.length > room) continue;
    room -= bytes.length;
    trees.push([digest, bytes]);
  }
  return {
    json: isSmall ? json : null,
    blob: isSmall ? null : store.blobs.put(new TextEncoder().encode(json)),
    trees,
  };
}

/** What of a result comes to the one who had the run started: all but its layer, which stays where it is. */
export function comesHome(result: TaskResult): readonly ContentRef[] {
  const { layers, blobs } = needsOf(result);
  const artifacts = new Set(result.artifacts.map(({ digest }) => digest));
  return [
    ...layers.filter((digest) => artifacts.has(digest)).map((digest): ContentRef => ({ kind: "layer", digest })),
    ...blobs.map((digest): ContentRef => ({ kind: "blob", digest })),
  ];
}

export interface UnpackOptions {
  readonly from: PeerId;
  readonly store: Store;
  readonly content: ContentExchange;
  /** The key that was asked for, or that the work had. */
  readonly key: Digest;
  readonly signal: AbortSignal;
}

/**
 * Takes a result that another machine packed, with the trees of its layers, so that keys can be computed over it. Answers at
 * once when nothing has to be fetched. Throws `peer.misbehaved`, `store.corrupt` when it is no result of that key; `blob.missing`.
 */
export function unpackResult(parcel: Parcel, options: UnpackOptions): TaskResult | Promise<TaskResult> {
  const { store } = options;
  if (parcel.json === null) return unpackLarge(parcel, options);
  const result = readResult(parcel.json, options.key);
  for (const [digest, bytes] of parcel.trees) if (!store.layers.knowsTree(digest)) store.layers.learn(digest, bytes);
  return withTrees(result, options);
}

async function unpackLarge({ blob }: Parcel, options: UnpackOptions): Promise<TaskResult> {
  const { store, content, from, signal, key } = options;
  if (blob === null) throw new MeshError("peer.misbehaved", "Cannot take a result that is empty");
  await content.fetch([{ kind: "blob", digest: blob }], { holders: [from], signal });
  return await withTrees(readResult(new TextDecoder().decode(store.blobs.read(blob)), key), options);
}

function withTrees(result: TaskResult, options: UnpackOptions): TaskResult | Promise<TaskResult> {
  const { store, content, from, signal } = options;
  const unknown = needsOf(result).layers.filter((digest) => !store.layers.knowsTree(digest));
  if (unknown.length === 0) return checkedLayer(result, store);
  return content.fetchTrees(unknown, { holders: [from], signal }).then(() => checkedLayer(result, store));
}

function readResult(json: string, key: Digest): TaskResult {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new MeshError("peer.misbehaved", "Cannot read the result that another machine sent", { cause });
  }
  const result = taken<TaskResult>(checkResult, value, "result");
  if (result.key !== key)
    throw new MeshError("peer.misbehaved", "Cannot take a result of another key than the one asked for");
  return result;
}

/** What a layer's name says of it must follow from its tree. */
function checkedLayer(result: TaskResult, store: Store): TaskResult {
  const { layer: ref } = result;
  if (ref === null) return result;
  const known: LayerRef = ref.digest === EMPTY_TREE ? EMPTY_LAYER : refOf(ref.digest, store);
  const isSame =
    known.workspace === ref.workspace &&
    known.system === ref.system &&
    known.sizeBytes === ref.sizeBytes &&
    known.entries === ref.entries;
  if (isSame) return { ...result, layer: known };
  throw new MeshError("peer.misbehaved", "Cannot take a result whose layer is not what it says");
}

function refOf(digest: Digest, store: Store): LayerRef {
  return store.layers.ref(digest) ?? store.layers.learn(digest, store.layers.treeBytes(digest));
}
