import { expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { findGpus, gpuAccess, parseGpus } from "../../src/node/gpus.ts";
import { temporaryFolder } from "../support/temporary.ts";

const TWO = "0, GPU-aaaa, NVIDIA H200, 143771\n1, GPU-bbbb, NVIDIA H200, 143771\n";

test("parseGpus() reads a line a GPU and leaves out what is none", () => {
  expect(parseGpus(`${TWO}No devices were found\n, , ,\n2, GPU-cccc, X, [N/A]\n`)).toEqual([
    { kind: "nvidia", index: 0, uuid: "GPU-aaaa", model: "NVIDIA H200", memoryBytes: 143_771 * 1024 ** 2 },
    { kind: "nvidia", index: 1, uuid: "GPU-bbbb", model: "NVIDIA H200", memoryBytes: 143_771 * 1024 ** 2 },
  ]);
});

test("findGpus() asks the driver's program, and takes its failure for none", () => {
  using folder = temporaryFolder();
  const program = folder.join("nvidia-smi");
  const write = (script: string) => {
    writeFileSync(program, `#!/bin/sh\n${script}\n`);
    chmodSync(program, 0o755);
  };
  write(`printf '${TWO.replaceAll("\n", "\\n")}'`);
  expect(findGpus(program, () => []).map(({ uuid }) => uuid)).toEqual(["GPU-aaaa", "GPU-bbbb"]);
  write("echo broken; exit 9");
  expect(findGpus(program, () => [])).toEqual([]);
  expect(findGpus(null, () => [])).toEqual([]);
});

test("gpuAccess() shows the leased GPUs alone", () => {
  const [, second] = parseGpus(TWO);
  expect(gpuAccess(second === undefined ? [] : [second], (path) => path !== "/dev/nvidia-modeset")).toEqual({
    devices: ["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"],
    env: { CUDA_VISIBLE_DEVICES: "GPU-bbbb", NVIDIA_VISIBLE_DEVICES: "GPU-bbbb" },
  });
  expect(gpuAccess([])).toEqual({ devices: [], env: {} });
});

test("findGpus() counts AMD's after NVIDIA's", () => {
  const amd = { model: "gfx942", memoryBytes: 1, renderMinor: 129 };
  expect(findGpus(null, () => [amd])).toEqual([{ kind: "amd", index: 0, uuid: "0", ...amd }]);
});

test("gpuAccess() shows an AMD GPU by its render node, and a simulated one by its name alone", () => {
  const amd = { kind: "amd", index: 3, uuid: "1", model: "gfx942", memoryBytes: 1, renderMinor: 129 } as const;
  const simulated = { kind: "simulated", index: 0, uuid: "GPU-simulated-0", model: "h100", memoryBytes: 1 } as const;
  expect(gpuAccess([amd], () => true)).toEqual({
    devices: ["/dev/dri/renderD129", "/dev/kfd"],
    env: { ROCR_VISIBLE_DEVICES: "0", HIP_VISIBLE_DEVICES: "0" },
  });
  expect(gpuAccess([simulated], () => true)).toEqual({
    devices: [],
    env: { CUDA_VISIBLE_DEVICES: "GPU-simulated-0", NVIDIA_VISIBLE_DEVICES: "GPU-simulated-0" },
  });
});
