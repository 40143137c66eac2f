// The cache key of a built-in package: it runs no script and sees no files of others, so its own content is all.

import { type CacheKey, cacheKey } from "../sched/cache-key.ts";
import { EMPTY_TREE } from "../store/layer.ts";

/** Key of a package by name and whatever its result depends on. */
export function packageKey(name: string, content: Readonly<Record<string, string>>): CacheKey {
  return cacheKey({
    script: name,
    shell: "",
    base: "",
    input: { kind: "filtered", workspace: EMPTY_TREE, system: [EMPTY_TREE] },
    env: {},
    secretEnv: [],
    artifacts: {},
    runDir: null,
    agent: {
      cpuMilli: null,
      memoryBytes: null,
      gpus: null,
      gpuMemoryBytes: null,
      os: null,
      arch: null,
      labels: [],
      network: null,
    },
    outputs: {},
    extras: content,
  });
}
