import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import type { ContextLimits } from "../../../src/oci/runtime/context-spec.ts";
import { removeTree } from "../../../src/oci/io/cgroup-tree.ts";
import { descendants, isAlive } from "../../../src/oci/io/processes.ts";
import { TestContexts } from "../../fake/oci-contexts.ts";
import { CONTEXTS } from "../../support/abilities.ts";
import { describeIf, testIf } from "../../support/require.ts";

const MIB = 1024 * 1024;

function limits(changes: Partial<ContextLimits>): { readonly limits: ContextLimits } {
  return { limits: { memoryBytes: null, cpuMilli: null, pids: 256, ...changes } };
}

for (const mechanism of ["best", "fallback"] as const) {
  describeIf([...CONTEXTS, "perl"], `limits held by the ${mechanism} mechanism`, () => {
    let contexts: TestContexts;
    beforeAll(() => {
      contexts = new TestContexts({ limits: mechanism });
    });
    afterAll(() => contexts[Symbol.asyncDispose]());

    const hog = (mib: number) =>
      `perl -e '$x = "a" x (${mib} << 20); select undef, undef, undef, 0.4; print length $x'`;

    test("a task over its memory is ended and said to be out of memory", async () => {
      const { exit, stdout } = await contexts.run(hog(200), limits({ memoryBytes: 64 * MIB }));
      expect([stdout, exit.outOfMemory]).toEqual(["", true]);
      expect(exit.exitCode === 137 || exit.signal === "SIGKILL").toBe(true);
    });

    test("a task within its memory is not", async () => {
      const { exit, stdout } = await contexts.run(hog(100), limits({ memoryBytes: 256 * MIB }));
      expect([stdout, exit.outOfMemory, exit.exitCode]).toEqual([String(100 * MIB), false, 0]);
      expect(exit.used.memoryBytesMax ?? 0).toBeGreaterThan(90 * MIB);
    });

    test("the next task starts with a clean record", async () => {
      await contexts.run(hog(200), limits({ memoryBytes: 64 * MIB }));
      const { exit } = await contexts.run("exit 1", limits({ memoryBytes: 64 * MIB }));
      expect([exit.exitCode, exit.outOfMemory]).toEqual([1, false]);
    });

    test("a fork bomb is bounded, and ends with its context", async () => {
      const { context } = await contexts.startUntilLine(
        // Children that stay: counting processes that come and go finds some of them twice.
        "echo go; while :; do sleep 1000 & done",
        limits({ pids: 40 }),
      );
      await Bun.sleep(300);
      const alive = descendants(context.pid).length;
      expect(alive).toBeLessThanOrEqual(contexts.runtime.mechanisms.pids === "fallback" ? 342 : 40);
      context.kill();
      await context.exited;
      expect([isAlive(context.pid), descendants(context.pid)]).toEqual([false, []]);
    });

    test("a runtime that closes leaves the contexts of another one in this process alone", async () => {
      const closing = new TestContexts({ limits: mechanism });
      await closing.run("true", limits({ memoryBytes: 64 * MIB }));
      const { context } = await contexts.startUntilLine("echo go; exec sleep 1000", limits({ memoryBytes: 64 * MIB }));
      await closing[Symbol.asyncDispose]();
      const { exit } = await contexts.run("exit 3", limits({ memoryBytes: 64 * MIB }));
      expect([exit.exitCode, isAlive(context.pid)]).toEqual([3, true]);
      context.kill();
      await context.exited;
    });

    test("processes beyond the limit are refused, or end the context", async () => {
      const forks = "for (1..60) { $p = fork; last if !defined $p; if ($p == 0) { sleep 5; exit } $n++ }";
      const { exit, stdout } = await contexts.run(
        `perl -e '${forks} select undef, undef, undef, 0.5; print $n'`,
        limits({ pids: 30 }),
      );
      // Root is not bounded by RLIMIT_NPROC; without a cgroup the watchdog ends its context.
      const isBoundless = contexts.runtime.mechanisms.pids === "fallback" && process.getuid?.() === 0;
      expect(isBoundless ? exit.signal : Number(stdout) < 31).toBe(isBoundless ? "SIGKILL" : true);
    });

    testIf("two-cpus", "CPU time is held to the share", async () => {
      const burn = "perl -e '$t = time + 1; fork; 1 while time <= $t; wait'";
      const startedAt = performance.now();
      const { exit } = await contexts.run(burn, limits({ cpuMilli: 500 }));
      const share = exit.used.cpuMs / (performance.now() - startedAt);
      // The fallback gives whole CPUs.
      expect(share).toBeLessThan(contexts.runtime.mechanisms.cpu === "fallback" ? 1.2 : 0.75);
    });
  });
}

testIf(["root", "cgroup-v1"], "a group goes with the process that still runs inside", async () => {
  const group = `/sys/fs/cgroup/memory/mesh-test-${process.pid}`;
  mkdirSync(group);
  const child = Bun.spawn(["sleep", "600"]);
  try {
    writeFileSync(`${group}/cgroup.procs`, String(child.pid));
    removeTree(group);
    expect(existsSync(group)).toBe(false);
    expect(await child.exited).not.toBe(0);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
    removeTree(group);
  }
});
