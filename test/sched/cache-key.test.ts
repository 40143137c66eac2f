import { expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import type { KeyParts } from "../../src/store/result.ts";
import { cacheKey, type KeyInputs, keyOf, looksSecret } from "../../src/sched/cache-key.ts";
import { A, B, BASE, C } from "../fake/sched-key.ts";

test("cacheKey() names its parts in a fixed order, secrets as digests", () => {
  expect(cacheKey(BASE).parts).toEqual({
    scheme: "1",
    script: BASE.script,
    shell: "bash",
    base: "debian-13",
    layers: `${A} ${B}`,
    "env FOO": "1",
    "secret-env API_TOKEN": digestOf("hush"),
    "artifact /mesh/in/x/bin": A,
    "agent cpus": "2000",
    "output artifact bin": "dist/bin",
  });
});

test("cacheKey() gives a stable digest: what was cached stays cached", () => {
  expect(cacheKey(BASE).key).toMatchInlineSnapshot(
    `"sha256:a2e38ff7e215581e9d14bd19130867e5084390a7d621a5747c142bd0ff07183f"`,
  );
});

test("cacheKey() does not depend on the order in which variables are given, and survives JSON", () => {
  const { key, parts } = cacheKey({ ...BASE, env: { API_TOKEN: "hush", FOO: "1" } });
  expect(key).toBe(cacheKey(BASE).key);
  expect(keyOf(JSON.parse(JSON.stringify(parts)) as KeyParts)).toBe(key);
});

test("cacheKey() differs for every input that counts", () => {
  const agent = BASE.agent;
  const variants: Partial<KeyInputs>[] = [
    {},
    { script: "make" },
    { shell: "sh" },
    { base: "debian-14" },
    { input: { kind: "layers", layers: [B, A] } },
    { input: { kind: "layers", layers: [A] } },
    { input: { kind: "filtered", workspace: A, system: [B] } },
    { input: { kind: "filtered", workspace: B, system: [A] } },
    { env: { FOO: "2", API_TOKEN: "hush" } },
    { env: { FOO: "1", API_TOKEN: "loud" } },
    { env: { FOO: "1" } },
    { artifacts: {} },
    { artifacts: { "/mesh/in/x/bin": B } },
    { runDir: C },
    { agent: { ...agent, cpuMilli: 1_000 } },
    { agent: { ...agent, memoryBytes: 1 } },
    { agent: { ...agent, gpus: 1 } },
    { agent: { ...agent, gpuMemoryBytes: 1 } },
    { agent: { ...agent, os: "linux" } },
    { agent: { ...agent, arch: "linux" } },
    { agent: { ...agent, labels: ["a"] } },
    { agent: { ...agent, network: "none" } },
    { outputs: {} },
    { extras: { epoch: "1" } },
    // Text that could be mistaken for another part's:
    { env: { 'FOO","x': "1", API_TOKEN: "hush" } },
    { env: { FOO: "\ud800", API_TOKEN: "hush" } },
    { env: { FOO: "\ud801", API_TOKEN: "hush" } },
  ];
  const keys = variants.map((variant) => cacheKey({ ...BASE, ...variant }).key);
  expect(new Set(keys).size).toBe(variants.length);
});

test("looksSecret() knows the usual names", () => {
  expect(
    ["GITHUB_TOKEN", "db_password", "AWS_SECRET_ACCESS_KEY", "SSH_PRIVATE_KEY", "TOKEN"].filter(
      (name) => !looksSecret(name),
    ),
  ).toEqual([]);
  expect(["TOKENIZER", "MONKEY", "AUTHOR", "PATH", "KEYBOARD"].filter(looksSecret)).toEqual([]);
});
