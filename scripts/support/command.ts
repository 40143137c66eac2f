// Runs other programs for the scripts. Bun itself is always `process.execPath`: it need not be on PATH.

import { projectRoot } from "./project.ts";

interface Finished {
  readonly exitCode: number;
  /** Standard output, then standard error. */
  readonly output: string;
  readonly durationMs: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Runs a program to its end in the checkout and keeps what it prints. */
export async function capture(argv: readonly string[], env: Environment = {}): Promise<Finished> {
  const startedAt = performance.now();
  const child = Bun.spawn([...argv], {
    cwd: projectRoot,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, output: stdout + stderr, durationMs: performance.now() - startedAt };
}

/** Runs a program to its end in the checkout, on this terminal. Gives its exit code, 128 + signal where one killed it. */
export async function show(argv: readonly string[], env: Environment = {}): Promise<number> {
  const child = Bun.spawn([...argv], {
    cwd: projectRoot,
    env: { ...process.env, ...env },
    stdio: ["inherit", "inherit", "inherit"],
  });
  return await child.exited;
}
