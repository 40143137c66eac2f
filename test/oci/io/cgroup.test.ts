import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CgroupPool } from "../../../src/oci/io/cgroup.ts";
import { testIf } from "../../support/require.ts";

// Directories of ordinary files stand for the hierarchies: what is written is seen; the kernel's part is in limits.test.ts.

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mesh-cgroup-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** This PID namespace. */
const HERE = statSync("/proc/self/ns/pid").ino;
const LIMITS = { memoryBytes: 1_000_000, cpuMilli: 1_500, pids: 99 };
const read = (...path: readonly string[]) => readFileSync(join(root, ...path), "utf8");
const ownDirectory = (below: string) =>
  readdirSync(join(root, below)).find((name) => name.startsWith(`mesh-${HERE}-${process.pid}-`)) ?? "none";

describe("version 2", () => {
  const delegate = (processes: string) => {
    mkdirSync(join(root, "v2"));
    writeFileSync(join(root, "v2/cgroup.controllers"), "cpu io memory pids\n");
    writeFileSync(join(root, "v2/cgroup.procs"), processes);
    return CgroupPool.open({ unified: join(root, "v2"), unifiedRoot: root, legacy: {} });
  };

  test("is used where it is delegated: controllers on, this process in a leaf, limits written", () => {
    const pool = delegate(`${process.pid}\n`);
    expect(pool.mechanisms).toEqual({ memory: "cgroup v2", cpu: "cgroup v2", pids: "cgroup v2" });
    const own = ownDirectory("v2");
    expect(read("v2/cgroup.subtree_control")).toBe("+memory +cpu +pids");
    expect(read("v2", own, "self/cgroup.procs")).toBe("0");
    const lease = pool.acquire(LIMITS);
    expect(lease.directory).toBe(join(root, "v2", own, "0"));
    expect(["memory.max", "memory.swap.max", "cpu.max", "pids.max"].map((file) => read("v2", own, "0", file))).toEqual([
      "1000000",
      "0",
      "150000 100000",
      "99",
    ]);
  });

  test("counts only this lease's kills", () => {
    const pool = delegate(`${process.pid}\n`);
    const directory = join(root, "v2", ownDirectory("v2"), "0");
    mkdirSync(directory);
    writeFileSync(join(directory, "memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 0\n");
    const lease = pool.acquire(LIMITS);
    expect(lease.outOfMemoryKills()).toBe(0);
    writeFileSync(join(directory, "memory.events"), "oom 4\noom_kill 5\n");
    writeFileSync(join(directory, "memory.peak"), "4096\n");
    expect([lease.outOfMemoryKills(), lease.peakMemoryBytes()]).toEqual([3, 4096]);
  });

  test("is left alone where other processes live in it", () => {
    const pool = delegate(`${process.pid}\n1\n`);
    expect(pool.mechanisms).toEqual({ memory: "fallback", cpu: "fallback", pids: "fallback" });
    expect(existsSync(join(root, "v2/cgroup.subtree_control"))).toBe(false);
    expect(ownDirectory("v2")).toBe("none");
  });
});

describe("version 1", () => {
  const legacy = () => {
    for (const name of ["memory", "pids"]) mkdirSync(join(root, name));
    return { unified: null, unifiedRoot: null, legacy: { memory: join(root, "memory"), pids: join(root, "pids") } };
  };

  test("holds what its controllers hold; the rest is the fallback's", () => {
    const pool = CgroupPool.open(legacy());
    expect(pool.mechanisms).toEqual({ memory: "cgroup v1", cpu: "fallback", pids: "cgroup v1" });
    const lease = pool.acquire(LIMITS);
    const own = ownDirectory("memory");
    expect(read("memory", own, "0/memory.limit_in_bytes")).toBe("1000000");
    expect(read("pids", own, "0/pids.max")).toBe("99");
    expect(lease.taskFiles).toEqual([join(root, "memory", own, "0/tasks"), join(root, "pids", own, "0/tasks")]);
  });

  test("uses a directory again after its release, and not before", () => {
    const pool = CgroupPool.open(legacy());
    const first = pool.acquire(LIMITS);
    const second = pool.acquire(LIMITS);
    expect(second.taskFiles).not.toEqual(first.taskFiles);
    first.release();
    expect(pool.acquire(LIMITS).taskFiles).toEqual(first.taskFiles);
  });

  test("sweeps directories of mesh processes that are gone, and no others", () => {
    const place = legacy();
    const gone = [`mesh-${HERE}-999999999-1`, `mesh-${HERE}-1-0`];
    const [unseen, old] = ["mesh-7-12-1", "mesh-7-13-1"];
    for (const name of [...gone, unseen, old, "someone-else"])
      mkdirSync(join(root, "memory", name, "0"), { recursive: true });
    const longAgo = new Date(Date.now() - 2 * 24 * 60 * 60_000);
    utimesSync(join(root, "memory", old), longAgo, longAgo);
    CgroupPool.open(place);
    const left = readdirSync(join(root, "memory")).filter((name) => name !== ownDirectory("memory"));
    // where processes of other namespaces can't be seen, those of one may live
    const seesAll = HERE === 0xeffffffc && process.getuid?.() === 0;
    expect(left.toSorted()).toEqual(seesAll ? ["someone-else"] : [unseen, "someone-else"]);
  });

  testIf("not-root", "is left alone where it is not writable", () => {
    const place = legacy();
    chmodSync(join(root, "memory"), 0o555);
    chmodSync(join(root, "pids"), 0o555);
    expect(CgroupPool.open(place).mechanisms).toEqual({ memory: "fallback", cpu: "fallback", pids: "fallback" });
  });
});
