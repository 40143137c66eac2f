// The GPUs of this machine, as their drivers name them. It leases none and starts nothing on them.

import { existsSync, readdirSync, readFileSync } from "node:fs";

/** One text for each GPU: NVIDIA's by its own tool, AMD's by the kernel's topology. None is no error. */
export async function gpuNames(): Promise<readonly string[]> {
  return [...(await nvidiaNames()), ...amdNames()];
}

async function nvidiaNames(): Promise<readonly string[]> {
  const program = Bun.which("nvidia-smi");
  if (program === null) return [];
  const child = Bun.spawn([program, "--query-gpu=index,name,memory.total", "--format=csv,noheader"], {
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 10_000,
  });
  const [text, code] = await Promise.all([child.stdout.text(), child.exited]);
  return code === 0
    ? text
        .trim()
        .split("\n")
        .filter(Boolean)
        .map((line) => `NVIDIA ${line}`)
    : [];
}

function amdNames(): readonly string[] {
  if (!existsSync("/dev/kfd")) return [];
  const nodes = listDirectory("/sys/class/kfd/kfd/topology/nodes");
  return nodes.flatMap((node) => {
    const simds = /^simd_count (\d+)$/m.exec(propertiesOf(`/sys/class/kfd/kfd/topology/nodes/${node}/properties`));
    return Number(simds?.[1] ?? 0) > 0 ? [`AMD node ${node}`] : [];
  });
}

function listDirectory(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function propertiesOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // the node went, or is not for this user
  }
}
