// The cache key of a task: what its result may depend on, as named parts, and their digest. Not in it: the trigger, the
// task's key, its timeout, `cache.ttl`, the run, the machine's name. It reads nothing: digests are made by the store.

import { type Digest, digestOf } from "../base/digest.ts";
import type { KeyParts } from "../store/result.ts";

/** Grows when the same inputs shall no longer give the same key: then nothing that was cached before is a hit. */
export const KEY_SCHEME = 1;

export interface KeyInputs {
  /** The resolved script of a command; for a package its name, version and resolved parameters, as text. */
  readonly script: string;
  /** What runs it: "bash -e" or the like. */
  readonly shell: string;
  /** Identity of the base: an image's digest, or the key of the host's system. */
  readonly base: string;
  readonly input: KeyFilesystem;
  /** Resolved variables that are included in the key. */
  readonly env: Readonly<Record<string, string>>;
  /** Names in `env` whose values must not be kept in clear, beyond those that look like secrets. */
  readonly secretEnv: readonly string[];
  /** Artifacts that the task can read, by the path at which it finds them. */
  readonly artifacts: Readonly<Record<string, Digest>>;
  /** Tree of the definition's folder, when the task refers to `run.dir`. */
  readonly runDir: Digest | null;
  readonly agent: KeyAgent;
  /** What is captured afterwards, one text per declaration: a hit must bring all that the task now declares. */
  readonly outputs: Readonly<Record<string, string>>;
  /** Anything else that counts, by name. */
  readonly extras: Readonly<Record<string, string>>;
}

/** Files that the task finds. Content, not lineage: layers that changed nothing are left out by the caller. */
export type KeyFilesystem =
  | { readonly kind: "layers"; readonly layers: readonly Digest[] }
  /** A filter is at work: the tree of what it leaves of the workspace, and the layers with the workspace taken out. */
  | { readonly kind: "filtered"; readonly workspace: Digest; readonly system: readonly Digest[] };

/**
 * What of `agent` counts, as the definition says it; null where it says nothing, so that another machine's default does
 * not matter. CPUs, memory and GPUs, since programs size themselves by them; os, arch and labels, since they ask for a
 * kind of machine; the network, since a script can tell. Not `disk`, `tmpfs` and `node`: room and place, not kind.
 */
export interface KeyAgent {
  readonly cpuMilli: number | null;
  readonly memoryBytes: number | null;
  readonly gpus: number | null;
  readonly gpuMemoryBytes: number | null;
  readonly os: string | null;
  readonly arch: string | null;
  readonly labels: readonly string[];
  readonly network: string | null;
}

export interface CacheKey {
  readonly key: Digest;
  /** In a fixed order. */
  readonly parts: KeyParts;
}

/** Computes a key. Equal parts give equal keys, and only they. */
export function cacheKey(inputs: KeyInputs): CacheKey {
  const parts: Record<string, string> = {
    scheme: String(KEY_SCHEME),
    script: inputs.script,
    shell: inputs.shell,
    base: inputs.base,
  };
  addFilesystem(inputs.input, parts);
  addEnv(inputs.env, inputs.secretEnv, parts);
  addSorted("artifact", inputs.artifacts, parts);
  if (inputs.runDir !== null) parts["run-dir"] = inputs.runDir;
  addAgent(inputs.agent, parts);
  addSorted("output", inputs.outputs, parts);
  addSorted("extra", inputs.extras, parts);
  return { key: keyOf(parts), parts };
}

/**
 * The digest of a key's parts, in their order. It hashes their JSON text: for a flat record of text that form is exact
 * (ECMA-262, JSON.stringify; lone surrogates are escaped, not replaced) and ten times faster to make than CBOR.
 */
export function keyOf(parts: KeyParts): Digest {
  return digestOf(JSON.stringify(parts));
}

/** Whether a variable of this name is kept as a digest of its value. */
export function looksSecret(name: string): boolean {
  return SECRET_NAME.test(name);
}

const SECRET_NAME =
  /(?:^|_)(?:SECRETS?|TOKENS?|PASSWORDS?|PASSWD|PASSPHRASE|CREDENTIALS?|PRIVATE|AUTH|API_?KEY|ACCESS_?KEY|KEY)(?:$|_)/i;

/** Names a part of a group: "env FOO". */
export function partName(group: string, name: string): string {
  return `${group} ${name}`;
}

function addFilesystem(input: KeyFilesystem, parts: Record<string, string>): void {
  if (input.kind === "layers") {
    parts["layers"] = input.layers.join(" ");
    return;
  }
  parts["workspace"] = input.workspace;
  parts["system"] = input.system.join(" ");
}

function addEnv(env: Readonly<Record<string, string>>, secret: readonly string[], parts: Record<string, string>): void {
  for (const name of sortedNames(env)) {
    const value = env[name] ?? "";
    if (looksSecret(name) || secret.includes(name)) parts[partName("secret-env", name)] = digestOf(value);
    else parts[partName("env", name)] = value;
  }
}

function addAgent(agent: KeyAgent, parts: Record<string, string>): void {
  if (agent.cpuMilli !== null) parts["agent cpus"] = String(agent.cpuMilli);
  if (agent.memoryBytes !== null) parts["agent memory"] = String(agent.memoryBytes);
  if (agent.gpus !== null) parts["agent gpu"] = String(agent.gpus);
  if (agent.gpuMemoryBytes !== null) parts["agent gpu-memory"] = String(agent.gpuMemoryBytes);
  if (agent.os !== null) parts["agent os"] = agent.os;
  if (agent.arch !== null) parts["agent arch"] = agent.arch;
  if (agent.labels.length > 0) parts["agent labels"] = JSON.stringify([...new Set(agent.labels)].sort());
  if (agent.network !== null) parts["agent network"] = agent.network;
}

function addSorted(group: string, entries: Readonly<Record<string, string>>, parts: Record<string, string>): void {
  for (const name of sortedNames(entries)) parts[partName(group, name)] = entries[name] ?? "";
}

function sortedNames(record: Readonly<Record<string, unknown>>): readonly string[] {
  const names = Object.keys(record);
  return names.length > 1 ? names.sort() : names;
}
