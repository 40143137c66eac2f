// The GPUs of this machine (NVIDIA's as `nvidia-smi` tells them, AMD's as the kernel does), and what a task that leases some of
// them is given: their device nodes and no others', and the variables by which programs find them. Drivers and libraries come
// with base `host`.

import { existsSync } from "node:fs";
import type { Definition } from "../spec/definition.ts";
import { type AmdGpu, findAmdGpus } from "./amd-gpus.ts";

export interface GpuDevice {
  readonly kind: "nvidia" | "amd" | "simulated";
  /** Unique on this machine. NVIDIA's is that of its device node, /dev/nvidia<index>; AMD's follow. */
  readonly index: number;
  /** "GPU-8f6b...": names it whatever others are visible. An AMD GPU is named by its place among those of its kind. */
  readonly uuid: string;
  readonly model: string;
  readonly memoryBytes: number;
  /** Minor number of its render node, /dev/dri/renderD<minor>; AMD's alone. */
  readonly renderMinor?: number;
}

/** How long nvidia-smi may take: a driver that wakes up needs seconds. */
const QUERY_TIMEOUT_MS = 20_000;
const QUERY = ["--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"] as const;

/** Nodes that every CUDA program opens beside the GPU's own. */
const SHARED_NODES = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"];

/** Whether any task of a definition asks for GPUs: only then is the driver asked. */
export function asksForGpus(definition: Definition): boolean {
  return definition.tasks.some(
    (task) => task.kind === "command" && (task.agent.gpu !== null || task.agent.gpuMemory !== null),
  );
}

/** Labels by which tasks ask for a model: "gpu:h200" for "NVIDIA H200". */
export function modelLabels(gpus: readonly GpuDevice[]): readonly string[] {
  const words = gpus.flatMap(({ model }) => [model, ...model.split(/[\s-]+/)]);
  return [...new Set(words.map(modelLabel))].toSorted();
}

/** The label that asks for a model. */
export function modelLabel(model: string): string {
  return `gpu:${model.trim().toLowerCase().replaceAll(/\s+/g, "-")}`;
}

/** Finds the GPUs; none where there is no driver, or it does not answer. */
export function findGpus(
  program = Bun.which("nvidia-smi"),
  amd: () => readonly AmdGpu[] = findAmdGpus,
): readonly GpuDevice[] {
  const nvidia = findNvidiaGpus(program);
  const first = nvidia.reduce((next, { index }) => Math.max(next, index + 1), 0);
  const others = amd().map((gpu, place): GpuDevice => ({
    kind: "amd",
    index: first + place,
    uuid: String(place),
    ...gpu,
  }));
  return [...nvidia, ...others];
}

function findNvidiaGpus(program: string | null): readonly GpuDevice[] {
  if (program === null) return [];
  const asked = Bun.spawnSync([program, ...QUERY], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    timeout: QUERY_TIMEOUT_MS,
  });
  return asked.exitCode === 0 ? parseGpus(asked.stdout.toString()) : [];
}

/** Reads nvidia-smi's answer: a line a GPU, memory in MiB. Lines that say something else are left out. */
export function parseGpus(text: string): readonly GpuDevice[] {
  return text.split("\n").flatMap((line) => {
    const [index, uuid, model, memoryMib] = line.split(",").map((field) => field.trim());
    const memory = Number(memoryMib);
    if (
      index === undefined ||
      !/^\d+$/.test(index) ||
      !uuid ||
      model === undefined ||
      !Number.isSafeInteger(memory) ||
      memory <= 0
    )
      return [];
    return [{ kind: "nvidia", index: Number(index), uuid, model, memoryBytes: memory * 1024 ** 2 }];
  });
}

/** Device nodes and variables for a task that leases these GPUs. */
export function gpuAccess(
  leased: readonly GpuDevice[],
  exists: (path: string) => boolean = existsSync,
): { readonly devices: readonly string[]; readonly env: Readonly<Record<string, string>> } {
  const nvidia = leased.filter(({ kind }) => kind !== "amd");
  const amd = leased.filter(({ kind }) => kind === "amd");
  const devices = [
    ...nvidia.flatMap(({ kind, index }) => (kind === "nvidia" ? [`/dev/nvidia${index}`] : [])),
    ...(nvidia.some(({ kind }) => kind === "nvidia") ? SHARED_NODES : []),
    ...amd.flatMap(({ renderMinor }) => (renderMinor === undefined ? [] : [`/dev/dri/renderD${renderMinor}`])),
    ...(amd.length > 0 ? ["/dev/kfd"] : []),
  ];
  return { devices: devices.filter((path) => exists(path)), env: { ...cudaVariables(nvidia), ...rocmVariables(amd) } };
}

function cudaVariables(gpus: readonly GpuDevice[]): Readonly<Record<string, string>> {
  if (gpus.length === 0) return {};
  const uuids = gpus.map(({ uuid }) => uuid).join(",");
  return { CUDA_VISIBLE_DEVICES: uuids, NVIDIA_VISIBLE_DEVICES: uuids };
}

// What the runtime counts are the devices that it can open: from 0 among those that the task is given.
function rocmVariables(gpus: readonly GpuDevice[]): Readonly<Record<string, string>> {
  if (gpus.length === 0) return {};
  const places = gpus.map((_, place) => place).join(",");
  return { ROCR_VISIBLE_DEVICES: places, HIP_VISIBLE_DEVICES: places };
}
