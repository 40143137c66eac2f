// Real contexts for tests: a runtime over a temporary MESH_HOME, and a way to run one script and get everything it left.

import { existsSync, mkdirSync, mkdtempSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bestIdMap } from "../../src/oci/io/id-map.ts";
import { ContextRuntime, type ContextRuntimeOptions } from "../../src/oci/io/launch.ts";
import type { ContextExit, ContextSpec, RunningContext } from "../../src/oci/runtime/context-spec.ts";

export interface Outcome {
  readonly exit: ContextExit;
  readonly stdout: string;
  readonly stderr: string;
  /** The directory that holds what the task changed. */
  readonly upper: string;
}

export class TestContexts implements AsyncDisposable {
  readonly home: string;
  readonly runtime: ContextRuntime;
  #made = 0;

  constructor(options: Omit<ContextRuntimeOptions, "home"> = {}) {
    this.home = realpathSync(mkdtempSync(join(tmpdir(), "mesh-contexts-")));
    this.runtime = ContextRuntime.open({ home: this.home, ...options });
  }

  /** A fresh directory below MESH_HOME. */
  directory(name = "made"): string {
    const path = join(this.home, `${name}-${this.#made++}`);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** A spec over the host's root without network, limited enough that a faulty test harms nobody. */
  spec(argv: readonly string[], changes: Partial<ContextSpec> = {}): ContextSpec {
    const root = changes.root ?? {
      kind: "host",
      lowers: [],
      upper: this.directory("upper"),
      work: this.directory("work"),
    };
    return {
      root,
      argv,
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" },
      cwd: "/workspace",
      hostname: "context",
      network: "none",
      binds: [],
      hidden: [],
      limits: { memoryBytes: null, cpuMilli: null, pids: 256 },
      idMap: bestIdMap(),
      tmpfsTmp: false,
      ...changes,
    };
  }

  async run(script: string, changes: Partial<ContextSpec> = {}): Promise<Outcome> {
    return this.runSpec(this.spec(["/bin/sh", "-c", script], changes));
  }

  async runSpec(spec: ContextSpec): Promise<Outcome> {
    const streams = { stdout: new Collector(), stderr: new Collector() };
    const context = await this.runtime.start(spec, {
      stdin: "null",
      output: (stream, bytes) => streams[stream].add(bytes),
    });
    const exit = await context.exited;
    return { exit, stdout: streams.stdout.text(), stderr: streams.stderr.text(), upper: spec.root.upper };
  }

  /** Starts a script and waits until it has printed its first line. */
  async startUntilLine(
    script: string,
    changes: Partial<ContextSpec> = {},
  ): Promise<{ readonly context: RunningContext; readonly stdout: Collector }> {
    const stdout = new Collector();
    const context = await this.runtime.start(this.spec(["/bin/sh", "-c", script], changes), {
      stdin: "null",
      output: (stream, bytes) => (stream === "stdout" ? stdout.add(bytes) : undefined),
    });
    await stdout.firstLine;
    return { context, stdout };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    removeTree(this.home);
    // What subordinate ids own, only their namespace may remove.
    if (existsSync(this.home)) {
      const argv = ["/bin/rm", "-rf", this.home];
      await this.runtime.runInUserNamespace({ argv, env: { PATH: "/usr/bin:/bin" } }).catch(() => undefined);
    }
    await this.runtime[Symbol.asyncDispose]();
  }
}

/** Gathers bytes; tells when the first line is complete. */
export class Collector {
  readonly #chunks: Uint8Array[] = [];
  readonly #firstLine = Promise.withResolvers<string>();
  readonly firstLine = this.#firstLine.promise;

  add(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    const text = this.text();
    const end = text.indexOf("\n");
    if (end >= 0) this.#firstLine.resolve(text.slice(0, end));
  }

  text(): string {
    return new TextDecoder().decode(Buffer.concat(this.#chunks));
  }
}

/** Overlay's work directory has a child that even its owner may not enter. */
function removeTree(path: string): void {
  Bun.spawnSync(["chmod", "-R", "u+rwx", path], { stderr: "ignore" });
  Bun.spawnSync(["rm", "-rf", path], { stderr: "ignore" });
}
