import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { findAmdGpus } from "../../src/node/amd-gpus.ts";
import { temporaryFolder } from "../support/temporary.ts";

test("findAmdGpus() reads the kernel's topology: GPUs with their own memory, no CPUs", () => {
  using folder = temporaryFolder();
  const node = (name: string, properties: string, banks: readonly string[], model = "") => {
    mkdirSync(folder.join(name), { recursive: true });
    writeFileSync(folder.join(`${name}/properties`), properties);
    writeFileSync(folder.join(`${name}/name`), `${model}\n`);
    banks.forEach((bank, index) => {
      mkdirSync(folder.join(`${name}/mem_banks/${index}`), { recursive: true });
      writeFileSync(folder.join(`${name}/mem_banks/${index}/properties`), bank);
    });
  };
  node("0", "cpu_cores_count 64\nsimd_count 0\ndrm_render_minor 0\n", ["heap_type 0\nsize_in_bytes 99\n"]);
  node("10", "simd_count 8\ndrm_render_minor 130\n", ["heap_type 2\nsize_in_bytes 7\n"]);
  node("2", "simd_count 304\ndrm_render_minor 128\n", ["heap_type 1\nsize_in_bytes 1000\n"], "gfx942");
  expect(findAmdGpus(folder.path)).toEqual([
    { model: "gfx942", memoryBytes: 1_000, renderMinor: 128 },
    { model: "amd", memoryBytes: 7, renderMinor: 130 },
  ]);
  expect(findAmdGpus(folder.join("none"))).toEqual([]);
});
