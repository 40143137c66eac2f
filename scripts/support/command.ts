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

/**
 * Runs a program to its end in the checkout, on this terminal. Gives its exit code, 128 + signal where one killed it.
 * A signal to the script reaches the program, and the script outlives it, so that it can tidy up.
 */
export async function show(argv: readonly string[], env: Environment = {}): Promise<number> {
  const child = Bun.spawn([...argv], {
    cwd: projectRoot,
    env: { ...process.env, ...env },
    stdio: ["inherit", "inherit", "inherit"],
  });
  // The terminal sends SIGINT to both.
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal !== "SIGINT") child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  try {
    return await child.exited;
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}
