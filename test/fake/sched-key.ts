// Inputs of a cache key, for tests that change one of them.

import { digestOf } from "../../src/base/digest.ts";
import type { KeyInputs } from "../../src/sched/cache-key.ts";

export const A = digestOf("a");
export const B = digestOf("b");
export const C = digestOf("c");

export const BASE: KeyInputs = {
  script: "set -e\nmake\nmake test",
  shell: "bash",
  base: "debian-13",
  input: { kind: "layers", layers: [A, B] },
  env: { FOO: "1", API_TOKEN: "hush" },
  secretEnv: [],
  artifacts: { "/mesh/in/x/bin": A },
  runDir: null,
  agent: {
    cpuMilli: 2_000,
    memoryBytes: null,
    gpus: null,
    gpuMemoryBytes: null,
    os: null,
    arch: null,
    labels: [],
    network: null,
  },
  outputs: { "artifact bin": "dist/bin" },
  extras: {},
};
