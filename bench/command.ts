// Runs whole commands and measures them: wall time, CPU time and peak memory of the largest process, by the kernel's count.

import { resolve } from "node:path";

export const MESH = resolve(import.meta.dir, "../dist/mesh");

export interface Measured {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakBytes: number;
}

/** Runs a command to its end. Throws when it fails, with the end of what it said. */
export async function measure(
  argv: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Measured> {
  const started = performance.now();
  const child = Bun.spawn([...argv], {
    cwd: options.cwd ?? process.cwd(),
    env: { ...process.env, ...options.env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = new Response(child.stderr).text();
  const code = await child.exited;
  const wallMs = performance.now() - started;
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}: ${(await said).slice(-500)}`);
  const usage = child.resourceUsage();
  return { wallMs, cpuMs: Number(usage?.cpuTime.total ?? 0) / 1000, peakBytes: usage?.maxRSS ?? 0 };
}

/** Whether a peer is installed. */
export function has(program: string): boolean {
  return Bun.which(program) !== null;
}

/** Runs `act` over every number below `count`, `width` at a time. */
export async function inParallel(
  count: number,
  width: number,
  act: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}
