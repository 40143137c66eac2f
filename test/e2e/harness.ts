// Drives the compiled program as a user would: a project folder, a MESH_HOME of its own, a command line.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { meshBinary } from "../support/binary.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary.ts";

export interface Ended {
  readonly code: number;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

/** The documented JSON of a task, as far as tests look at it. */
export interface TaskJson {
  readonly key: string;
  readonly status: { readonly execution: string; readonly result: string; readonly finished: string | null };
  readonly cacheKey: string | null;
  readonly cacheHitFrom: string | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly node: string | null;
  readonly durationMs: number | null;
  readonly outputs: {
    readonly values: Readonly<Record<string, string>>;
    readonly artifacts: readonly { readonly key: string }[];
    readonly links: Readonly<Record<string, string>>;
    readonly testResults: readonly unknown[];
    readonly problems: readonly {
      readonly message: string;
      readonly file: string | null;
      readonly line: number | null;
    }[];
  };
  readonly messages: readonly { readonly level: string; readonly text: string }[];
}

export interface RunJson {
  readonly id: string;
  readonly status: { readonly execution: string; readonly result: string };
  readonly tasks: readonly TaskJson[];
}

export class Project implements Disposable {
  readonly #folder: TemporaryFolder;
  readonly directory: string;
  readonly home: string;
  readonly environment: Record<string, string>;
  /** Put before the program: `setpriv ...`, `unshare ...`. */
  readonly wrapper: readonly string[];

  constructor(
    options: { readonly wrapper?: readonly string[]; readonly home?: string; readonly directory?: string } = {},
  ) {
    this.#folder = temporaryFolder();
    this.directory = options.directory ?? this.#folder.join("project");
    this.home = options.home ?? this.#folder.join("home", "mesh");
    mkdirSync(this.directory, { recursive: true });
    this.wrapper = options.wrapper ?? [];
    this.environment = {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: this.directory,
      MESH_HOME: this.home,
      NO_COLOR: "1",
    };
  }

  [Symbol.dispose](): void {
    try {
      this.#folder[Symbol.dispose]();
    } catch {
      // layers of subordinate ids: only mesh may remove them
      const argv = [meshBinary, "cache", "prune", "--to", "0"];
      Bun.spawnSync(argv, { cwd: "/", env: this.environment, stdio: ["ignore", "ignore", "ignore"] });
      this.#folder[Symbol.dispose]();
    }
  }

  /** Writes a file of the project. */
  write(path: string, content: string | Uint8Array): string {
    const full = join(this.directory, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    return full;
  }

  /** Starts mesh without waiting for it. */
  start(args: readonly string[], options: { readonly stdout?: "pipe" | "ignore" } = {}) {
    return Bun.spawn([...this.wrapper, meshBinary, ...args], {
      cwd: this.directory,
      env: this.environment,
      stdin: "ignore",
      stdout: options.stdout ?? "pipe",
      stderr: "pipe",
    });
  }

  /** Runs mesh to its end. Killed after `timeoutMs`, which fails the test that called. */
  async mesh(args: readonly string[], timeoutMs = 60_000): Promise<Ended> {
    const child = this.start(args);
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    try {
      const [out, err] = await Promise.all([
        new Response(child.stdout as ReadableStream).text(),
        new Response(child.stderr).text(),
      ]);
      await child.exited;
      return {
        code: child.exitCode ?? -1,
        signal: child.signalCode === null ? null : String(child.signalCode),
        out,
        err,
      };
    } finally {
      clearTimeout(timer);
    }
  }

  /** `mesh run` of a definition given as text, with `--json`: its exit and its final object. */
  async run(
    definition: string,
    args: readonly string[] = [],
  ): Promise<Ended & { readonly run: RunJson; readonly task: (key: string) => TaskJson }> {
    this.write("tasks.yml", definition);
    const ended = await this.mesh(["run", "tasks.yml", "--json", ...args]);
    const run = finalRun(ended);
    return {
      ...ended,
      run,
      task: (key) => run.tasks.find((task) => task.key === key) ?? missing(key, ended),
    };
  }
}

/** The object that `mesh run --json` ends with. */
export function finalRun(ended: Ended): RunJson {
  const last = ended.out.trimEnd().split("\n").at(-1) ?? "";
  try {
    const parsed = JSON.parse(last) as { run?: RunJson } & RunJson;
    return parsed.run ?? parsed;
  } catch {
    throw new Error(
      `mesh run ended with ${ended.code} and no JSON:\n${ended.out.slice(-2000)}\n${ended.err.slice(-2000)}`,
    );
  }
}

function missing(key: string, ended: Ended): never {
  throw new Error(`The run has no task ${key}:\n${ended.out.slice(-2000)}`);
}

/** Statuses by task key: "succeeded", "failed", "skipped", "cacheHit", "aborted". */
export function outcomes(run: RunJson): Readonly<Record<string, string>> {
  return Object.fromEntries(
    run.tasks.map(({ key, status }) => {
      if (status.execution === "skipped" || status.execution === "aborted") return [key, status.execution];
      return [key, status.finished === "cacheHit" ? "cacheHit" : status.result];
    }),
  );
}
