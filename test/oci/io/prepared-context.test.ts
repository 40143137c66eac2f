import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { descendants, isAlive } from "../../../src/oci/io/processes.ts";
import { TestContexts } from "../../fake/oci-contexts.ts";
import { CONTEXTS } from "../../support/abilities.ts";
import { describeIf } from "../../support/require.ts";

describeIf(CONTEXTS, "a prepared context", () => {
  let contexts: TestContexts;
  beforeAll(() => void (contexts = new TestContexts()));
  afterAll(async () => await contexts[Symbol.asyncDispose]());

  const shell = (script: string) => ({
    argv: ["/bin/sh", "-c", script],
    env: { GREETING: "hello" },
    cwd: "/workspace",
  });

  test("runs the command it is given, however late", async () => {
    const prepared = await contexts.runtime.prepare(contexts.spec([]));
    await until(() => descendants(process.pid).length >= 3);
    let text = "";
    const running = await prepared.begin(shell('echo "$GREETING $$ $(pwd)"; exit 7'), {
      stdin: "null",
      output: (_, bytes) => void (text += new TextDecoder().decode(bytes)),
    });
    expect({ exit: (await running.exited).exitCode, text, waits: prepared.isWaiting }).toEqual({
      exit: 7,
      text: "hello 2 /workspace\n",
      waits: false,
    });
  });

  test("has its end told by pid 1, before the kernel has undone the rest", async () => {
    const prepared = await contexts.runtime.prepare(contexts.spec([]));
    const running = await prepared.begin(shell("(setsid sleep 100 &); sleep 0.2; kill -9 $$"), {
      stdin: "null",
      output: () => undefined,
    });
    const monitor = descendants(process.pid).find((pid) => descendants(pid).includes(running.pid)) ?? 0;
    // Who stands still tells nobody that pid 1 is dead.
    process.kill(monitor, "SIGSTOP");
    let isGone = false;
    void running.gone.then(() => (isGone = true));
    expect(await running.exited).toMatchObject({ exitCode: null, signal: "SIGKILL", outOfMemory: false });
    expect([isGone, descendants(running.pid)]).toEqual([false, []]);
    process.kill(monitor, "SIGCONT");
    await running.gone;
    expect([isAlive(running.pid), isAlive(monitor)]).toEqual([false, false]);
  });

  test("takes arguments larger than a socket's buffer", async () => {
    const prepared = await contexts.runtime.prepare(contexts.spec([]));
    let count = 0;
    const words = Array.from({ length: 10 }, () => "x".repeat(100_000));
    const running = await prepared.begin(
      { argv: ["/bin/sh", "-c", 'printf %s "$@"', "sh", ...words], env: {}, cwd: "/" },
      { stdin: "null", output: (_, bytes) => void (count += bytes.length) },
    );
    expect([(await running.exited).exitCode, count]).toEqual([0, 1_000_000]);
  });

  test("leaves nothing when it is discarded, at any moment", async () => {
    const before = readdirSync("/proc/self/fd").length;
    const early = await contexts.runtime.prepare(contexts.spec([]));
    await early.discard();
    const late = await contexts.runtime.prepare(contexts.spec([]));
    await until(() => descendants(process.pid).length >= 3);
    const processes = descendants(process.pid);
    await late.discard();
    expect(processes.filter(isAlive)).toEqual([]);
    await until(() => readdirSync("/proc/self/fd").length <= before);
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
    expect(late.isWaiting).toBe(false);
  });

  test("says what went wrong with it when it begins", async () => {
    const spec = contexts.spec([]);
    const prepared = await contexts.runtime.prepare({ ...spec, root: { ...spec.root, lowers: ["/no/where"] } });
    await until(() => !prepared.isWaiting);
    const start = prepared.begin(shell("true"), { stdin: "null", output: () => undefined });
    expect(await start.then(String, String)).toContain("mount overlay: ENOENT");
  });

  test("ends with its runtime", async () => {
    const others = new TestContexts();
    await others.runtime.prepare(others.spec([]));
    await until(() => descendants(process.pid).length >= 3);
    const processes = descendants(process.pid);
    await others[Symbol.asyncDispose]();
    expect(processes.filter(isAlive)).toEqual([]);
  });
});

async function until(condition: () => boolean): Promise<void> {
  for (let round = 0; round < 500 && !condition(); round++) await Bun.sleep(10);
}
