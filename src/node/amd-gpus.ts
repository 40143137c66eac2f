// AMD's GPUs, as the kernel's compute driver shows them (Documentation/ABI: /sys/class/kfd/kfd/topology). It opens no device.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readText } from "../base/io/text-files.ts";

export interface AmdGpu {
  readonly model: string;
  readonly memoryBytes: number;
  /** Minor number of its render node. */
  readonly renderMinor: number;
}

const TOPOLOGY = "/sys/class/kfd/kfd/topology/nodes";

/** Finds the GPUs, in the driver's order; none where there is no such driver. */
export function findAmdGpus(topology = TOPOLOGY): readonly AmdGpu[] {
  if (!existsSync(topology)) return [];
  const nodes = readdirSync(topology).filter((name) => /^\d+$/.test(name));
  return nodes.toSorted((a, b) => Number(a) - Number(b)).flatMap((node) => gpuOf(join(topology, node)));
}

/** A node without compute units is a CPU. */
function gpuOf(node: string): readonly AmdGpu[] {
  const properties = numbersOf(join(node, "properties"));
  const renderMinor = properties.get("drm_render_minor") ?? 0;
  if ((properties.get("simd_count") ?? 0) === 0 || renderMinor === 0) return [];
  const memoryBytes = memoryOf(join(node, "mem_banks"));
  const model = readText(join(node, "name")).trim() || "amd";
  return memoryBytes === 0 ? [] : [{ model, memoryBytes, renderMinor }];
}

/** Heaps of the kinds "public" and "private": memory on the card. */
const LOCAL_HEAPS: ReadonlySet<number> = new Set([1, 2]);

function memoryOf(banks: string): number {
  if (!existsSync(banks)) return 0;
  let bytes = 0;
  for (const bank of readdirSync(banks)) {
    const properties = numbersOf(join(banks, bank, "properties"));
    if (LOCAL_HEAPS.has(properties.get("heap_type") ?? -1)) bytes += properties.get("size_in_bytes") ?? 0;
  }
  return bytes;
}

/** Lines of "name value". */
function numbersOf(path: string): ReadonlyMap<string, number> {
  return new Map(
    readText(path)
      .split("\n")
      .map((line) => line.split(" "))
      .map(([name, value]) => [name ?? "", Number(value)]),
  );
}
