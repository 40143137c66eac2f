// The house rules as data: floors, doors, what pure code may touch, and the exceptions with their reasons.

export interface Policy {
  /** Folders of src/, from the ground up. A folder imports itself and the folders of lower floors. */
  readonly floors: readonly (readonly string[])[];
  /** Folders in which every file may have effects. Elsewhere only files in an `io/` folder may. */
  readonly shells: readonly string[];
  /** Which files may import a package: paths, or folders that end in "/". */
  readonly doors: Readonly<Record<string, readonly string[]>>;
  /** Files over the limit, each with the reason why it is one noun all the same. */
  readonly longFiles: Readonly<Record<string, string>>;
  /** Tests that have no one source file, each with what they tell a story of. */
  readonly storyTests: Readonly<Record<string, string>>;
}

export const POLICY: Policy = {
  floors: [["base"], ["store", "spec"], ["oci", "sched"], ["mesh"], ["exec"], ["node"], ["web", "cli"]],
  shells: ["node", "web", "cli"],
  doors: {
    // Calls by path, one at a time; and calls by descriptor, for thousands of files.
    "bun:ffi": ["src/base/io/libc.ts", "src/store/io/raw-files.ts"],
    // ristretto255 for pairing; signatures are the runtime's own.
    "@noble/curves": ["src/mesh/cpace.ts"],
    "bun:sqlite": ["src/store/io/"],
    "bonjour-service": ["src/mesh/io/multicast.ts"],
    cborg: ["src/base/canonical.ts"],
    hono: ["src/node/local-api.ts"],
    ignore: ["src/node/working-tree.ts"],
    msgpackr: ["src/mesh/wire-value.ts"],
    yaml: ["src/spec/yaml.ts"],
  },
  longFiles: {
    "src/mesh/membership.ts": "one machine: its transitions call each other, and all of its state is private",
    "src/sched/run-machine.ts": "one machine: its transitions call each other, and all of its state is private",
    "src/spec/references.ts": "one visitor: what each kind of reference may name",
  },
  storyTests: {
    "test/node/remote/contexts.test.ts": "files that cross between real contexts on two machines",
    "test/mesh/io/mesh-lan.test.ts": "machines on a LAN of namespaces: found, killed, frozen, cut off, revoked",
    "test/mesh/io/content-faults.test.ts": "fetching from machines that lie, vanish, fill up and help one another",
    "test/mesh/io/content-transport.test.ts": "content over real connections",
    "test/oci/io/death.test.ts": "what is left when the process that holds contexts is killed",
    "test/oci/io/limits.test.ts": "limits, whichever mechanism holds them",
    "test/oci/runtime/host-view.test.ts": "what the plans make of one machine's mounts, homes and id ranges",
    "test/sched/run-world.test.ts": "whole runs on simulated machines, from a seed",
    "test/spec/docs.test.ts": "the reference names every key, function, package and rule",
    "test/spec/fuzz.test.ts": "definitions damaged by chance",
    "test/spec/parse-accepts.test.ts": "definitions that hold, and what they mean",
    "test/spec/parse-faults.test.ts": "definitions that don't, and the words for it",
    "test/spec/schema.test.ts": "the JSON schema and the parser know the same keys",
  },
};

export const MAX_LINES = 400;

/** A name that says nothing: such a file collects what belongs elsewhere. */
export const VAGUE_NAMES = ["common", "helper", "helpers", "index", "misc", "shared", "types", "util", "utils"];

/** Folders of test/ that mirror nothing. */
export const UNMIRRORED_TESTS = ["test/e2e/", "test/fake/", "test/fixtures/", "test/sim/", "test/support/"];

/** Node's modules without effects. */
export const PURE_NODE_MODULES = ["node:buffer", "node:path", "node:path/posix", "node:util"];

/** Members of `Bun` without effects. */
export const PURE_BUN_MEMBERS = [
  "CryptoHasher",
  "Glob",
  "SHA1",
  "SHA256",
  "SHA512",
  "TOML",
  "YAML",
  "deepEquals",
  "deepMatch",
  "deflateSync",
  "escapeHTML",
  "gunzipSync",
  "gzipSync",
  "hash",
  "inflateSync",
  "inspect",
  "semver",
  "stringWidth",
  "stripANSI",
  "wrapAnsi",
  "zstdCompressSync",
  "zstdDecompressSync",
];

/** Globals that touch the world: time, chance, the network, the process, other threads, or everything at once. */
export const EFFECTFUL_GLOBALS = [
  "AbortSignal.timeout",
  "BroadcastChannel",
  "Date.now",
  "EventSource",
  "Math.random",
  "WebSocket",
  "Worker",
  "XMLHttpRequest",
  "console",
  "crypto",
  "fetch",
  "globalThis",
  "import.meta",
  "navigator",
  "new Date",
  "performance",
  "process",
  "queueMicrotask",
  "require",
  "setImmediate",
  "setInterval",
  "setTimeout",
];
