// What every backend must do, whatever it isolates: one suite, run by the test of each.

import { describe, expect } from "bun:test";
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeWhiteout, setXattr } from "../../src/base/io/libc.ts";
import type { Backend, Execution, ExecutionExit, Scratch } from "../../src/exec/backend.ts";
import type { AbilityName } from "../support/abilities.ts";
import { testIf } from "../support/require.ts";
import { temporaryFolder } from "../support/temporary.ts";

export interface BackendUnderTest {
  readonly name: string;
  readonly needs: readonly AbilityName[];
  /** `home` is a MESH_HOME of its own, inside which scratch folders and layers lie. */
  open(home: string): Backend;
}

interface Ended extends ExecutionExit {
  readonly stdout: string;
  readonly stderr: string;
}

/** One backend over a temporary home. */
export class BackendFixture implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly home = this.#folder.join("home");
  readonly backend: Backend;
  #made = 0;

  constructor(subject: BackendUnderTest) {
    mkdirSync(this.home);
    this.backend = subject.open(this.home);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }

  scratch(): Scratch {
    const root = join(this.home, `scratch-${this.#made++}`);
    const scratch = { root, upper: join(root, "upper"), work: join(root, "work"), io: join(root, "io") };
    for (const folder of [root, scratch.upper, scratch.work, scratch.io, join(scratch.io, "values")]) mkdirSync(folder);
    return scratch;
  }

  /** A layer's directory. A content of null is a whiteout; a path that ends in "/" an opaque directory. */
  layer(files: Readonly<Record<string, string | null>>): string {
    const root = join(this.home, `layer-${this.#made++}`);
    mkdirSync(root);
    for (const [path, content] of Object.entries(files)) {
      const full = join(root, path);
      mkdirSync(path.endsWith("/") ? full : dirname(full), { recursive: true });
      if (path.endsWith("/")) setXattr(full, "user.overlay.opaque", Buffer.from("y"));
      else if (content === null) makeWhiteout(full);
      else writeFileSync(full, content);
    }
    return root;
  }

  execution(script: string, more: Partial<Execution> = {}): Execution {
    return {
      scratch: this.scratch(),
      layers: [],
      argv: ["sh", "-c", script],
      env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
      ioVariables: [{ name: "MESH_VALUES", folder: "values" }],
      network: "host",
      binds: [],
      limits: { memoryBytes: null, cpuMilli: null, pids: 256 },
      tmpfsTmp: false,
      devices: [],
      output: () => {},
      ...more,
    };
  }

  async run(script: string, more: Partial<Execution> = {}): Promise<Ended> {
    const out = { stdout: "", stderr: "" };
    const decoder = new TextDecoder();
    const output: Execution["output"] = (stream, bytes) => {
      out[stream] += decoder.decode(bytes);
    };
    const running = await this.backend.start(this.execution(script, { ...more, output }));
    return { ...(await running.exited), ...out };
  }

  /** Starts a script and waits until it has printed "ready". */
  async startReady(script: string, more: Partial<Execution> = {}) {
    const ready = Promise.withResolvers<void>();
    let said = "";
    const output: Execution["output"] = (_, bytes) => {
      said += new TextDecoder().decode(bytes);
      if (said.includes("ready")) ready.resolve();
    };
    const running = await this.backend.start(this.execution(script, { ...more, output }));
    await Promise.race([ready.promise, running.exited]);
    return { running, said: () => said };
  }
}

export function backendSuite(subject: BackendUnderTest): void {
  const check = (
    name: string,
    body: (fixture: BackendFixture) => Promise<void>,
    needs: readonly AbilityName[] = subject.needs,
  ) =>
    testIf(needs, name, async () => {
      await using fixture = new BackendFixture(subject);
      await body(fixture);
    });

  describe(`${subject.name}: start()`, () => {
    check("start() gives output on both streams, and the exit code", async (fixture) => {
      const { exitCode, signal, outOfMemory, stdout, stderr } = await fixture.run("echo out; echo err >&2; exit 7");
      expect({ exitCode, signal, outOfMemory, stdout, stderr }).toEqual({
        exitCode: 7,
        signal: null,
        outOfMemory: false,
        stdout: "out\n",
        stderr: "err\n",
      });
    });

    check("start() lets the task open /dev/stderr and /dev/stdout", async (fixture) => {
      const { exitCode, stdout, stderr } = await fixture.run("echo a > /dev/stderr; echo b > /dev/stdout");
      expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: "b\n", stderr: "a\n" });
    });

    check("start() delivers a megabyte without a byte lost", async (fixture) => {
      const { stdout } = await fixture.run("yes 0123456789abcde | head -c 1048576");
      expect(stdout.length).toBe(1_048_576);
    });

    check("start() gives no input", async (fixture) => {
      expect((await fixture.run("cat; echo over")).stdout).toBe("over\n");
    });

    check("start() sets the environment, the workspace and the io variables", async (fixture) => {
      const execution = fixture.execution(
        'printf "%s" "$GREETING" > "$MESH_VALUES/v"; test "$PWD" = "$(pwd)" && test -d "$HOME"',
        {
          env: { PATH: "/usr/bin:/bin", GREETING: "hi" },
        },
      );
      const running = await fixture.backend.start(execution);
      expect((await running.exited).exitCode).toBe(0);
      expect(readFileSync(join(execution.scratch.io, "values/v"), "utf8")).toBe("hi");
    });

    check(
      "start() shows the layers laid over each other, later ones on top",
      async (fixture) => {
        const layers = [
          fixture.layer({ "workspace/a": "old", "workspace/b": "b", "workspace/dir/x": "x", "workspace/gone/y": "y" }),
          fixture.layer({
            "workspace/a": "new",
            "workspace/b": null,
            "workspace/dir/": null,
            "workspace/dir/z": "z",
            "workspace/gone": null,
          }),
        ];
        const { stdout } = await fixture.run("cat a; echo; find . -mindepth 1 | sort", { layers });
        expect(stdout).toBe("new\n./a\n./dir\n./dir/z\n");
      },
      [...subject.needs, "whiteouts"],
    );

    check(
      "start() collects what changed as a layer, and whiteouts for what is gone",
      async (fixture) => {
        const scratch = fixture.scratch();
        const layers = [
          fixture.layer({ "workspace/keep": "k", "workspace/edit": "e", "workspace/dir/a": "a", "workspace/rm": "r" }),
        ];
        const { exitCode } = await fixture.run(
          "echo more >> edit; rm -r dir rm; ln -s keep link; mkdir -m 700 closed; echo n > closed/new",
          {
            scratch,
            layers,
          },
        );
        const upper = (path: string) => join(scratch.upper, "workspace", path);
        expect(exitCode).toBe(0);
        expect(existsSync(upper("keep"))).toBe(false);
        expect(readFileSync(upper("edit"), "utf8")).toBe("emore\n");
        expect([lstatSync(upper("dir")).isCharacterDevice(), lstatSync(upper("rm")).isCharacterDevice()]).toEqual([
          true,
          true,
        ]);
        expect(readlinkSync(upper("link"))).toBe("keep");
        expect(lstatSync(upper("closed")).mode & 0o777).toBe(0o700);
        expect(readFileSync(upper("closed/new"), "utf8")).toBe("n\n");
      },
      [...subject.needs, "whiteouts"],
    );

    check("start() leaves an empty upper when nothing changed", async (fixture) => {
      const scratch = fixture.scratch();
      const layers = [fixture.layer({ "workspace/dir/a": "a" })];
      await fixture.run("cat dir/a", { scratch, layers });
      expect(existsSync(join(scratch.upper, "workspace"))).toBe(false);
    });

    check("start() leaves the layers as they are", async (fixture) => {
      const layer = fixture.layer({ "workspace/a": "a", "workspace/dir/b": "b" });
      await fixture.run("echo x > a; rm -r dir", { layers: [layer] });
      expect(readFileSync(join(layer, "workspace/a"), "utf8")).toBe("a");
      expect(readFileSync(join(layer, "workspace/dir/b"), "utf8")).toBe("b");
    });

    check("start() reports the signal that ended a task", async (fixture) => {
      const { exitCode, signal } = await fixture.run("kill -USR1 $$; sleep 60");
      expect({ exitCode, signal }).toEqual({ exitCode: null, signal: "SIGUSR1" });
    });

    check("start() refuses a program that is not there", async (fixture) => {
      const start = async () => {
        const running = await fixture.backend.start(fixture.execution("", { argv: ["/no/such/program"] }));
        return (await running.exited).exitCode;
      };
      const ended = await start().catch((error: { code?: unknown }) => error.code);
      expect([127, "context.failed"]).toContain(ended as number | string);
    });
  });

  describe(`${subject.name}: terminate() and kill()`, () => {
    check("terminate() lets the task end in its own way", async (fixture) => {
      const { running, said } = await fixture.startReady(
        "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done",
      );
      running.terminate();
      expect((await running.exited).exitCode).toBe(3);
      expect(said()).toContain("bye");
    });

    check("kill() ends a task that is deaf to terminate()", async (fixture) => {
      const { running } = await fixture.startReady("trap '' TERM; echo ready; while :; do sleep 0.01; done");
      running.terminate();
      running.kill();
      running.kill();
      const { exitCode, signal } = await running.exited;
      expect({ exitCode, signal }).toEqual({ exitCode: null, signal: "SIGKILL" });
    });

    check("nothing survives its task, also not a child in a session of its own", async (fixture) => {
      const scratch = fixture.scratch();
      const seconds = `6${process.pid}.${scratch.root.length}`;
      const { exitCode } = await fixture.run(
        `setsid sleep ${seconds} & setsid sh -c 'sleep ${seconds} & wait' & sleep 0.05`,
        { scratch },
      );
      expect(exitCode).toBe(0);
      expect(Bun.spawnSync(["pgrep", "-f", `sleep ${seconds}`]).stdout.toString()).toBe("");
    });
  });
}
