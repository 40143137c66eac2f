import { describe, expect, test } from "bun:test";
import { allowedSyscalls, FAKED_WITH_SINGLE_ID, taskFilter } from "../../../src/oci/runtime/profile.ts";
import { compileFilter } from "../../../src/oci/runtime/seccomp.ts";
import { highestSyscall, syscallNames, syscallNumber } from "../../../src/oci/runtime/syscalls.ts";
import { askFilter } from "../../fake/oci-filter.ts";

const AUDIT = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
const EPERM = 1;
const ENOSYS = 38;

describe.each(["x64", "arm64"] as const)("taskFilter() on %s", (architecture) => {
  const audit = AUDIT[architecture];
  const ask = (name: string, singleId = false, args: readonly number[] = []) =>
    askFilter(taskFilter(architecture, singleId), {
      number: syscallNumber(name, architecture) ?? -1,
      audit,
      arguments: args,
    });

  test("allows exactly the profile's names", () => {
    const allowed = new Set(allowedSyscalls());
    const wrong = syscallNames().filter((name) => {
      if (syscallNumber(name, architecture) === null || name === "clone3") return false;
      return ask(name) !== (allowed.has(name) ? "allow" : EPERM);
    });
    expect(wrong).toEqual([]);
  });

  test("refuses what makes namespaces and mounts", () => {
    const refused = [
      "mount",
      "umount2",
      "pivot_root",
      "unshare",
      "setns",
      "fsopen",
      "open_tree",
      "move_mount",
      "bpf",
      "keyctl",
      "io_uring_setup",
    ];
    expect(refused.map((name) => [name, ask(name)])).toEqual(refused.map((name) => [name, EPERM]));
  });

  test("lets clone() make processes and threads, and no namespaces", () => {
    expect(ask("clone", false, [17])).toBe("allow");
    expect(ask("clone", false, [0x3d0f00])).toBe("allow");
    for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]) {
      expect(ask("clone", false, [flag | 17])).toBe(EPERM);
    }
  });

  test("answers clone3 and calls newer than the table with ENOSYS", () => {
    expect(ask("clone3")).toBe(ENOSYS);
    expect(askFilter(taskFilter(architecture, false), { number: highestSyscall(architecture) + 1, audit })).toBe(
      ENOSYS,
    );
  });

  test("answers another architecture's calls with ENOSYS", () => {
    expect(askFilter(taskFilter(architecture, false), { number: 0, audit: 0x40000003 })).toBe(ENOSYS);
  });

  test("refuses to push characters into a terminal", () => {
    expect(ask("ioctl", false, [0, 0x5412])).toBe(EPERM);
    expect(ask("ioctl", false, [0, 0x5413])).toBe("allow");
  });

  test("pretends with a single id, and only then", () => {
    for (const name of FAKED_WITH_SINGLE_ID) {
      if (syscallNumber(name, architecture) === null) continue;
      expect([name, ask(name, true), ask(name, false)]).toEqual([name, 0, "allow"]);
    }
    expect(ask("mknodat", true, [0, 0, 0o060000])).toBe(0);
    expect(ask("mknodat", true, [0, 0, 0o010644])).toBe("allow");
  });
});

test("compileFilter() refuses the x32 calls of x64", () => {
  const filter = compileFilter({ architecture: "x64", allow: ["read"], rules: [] });
  expect(askFilter(filter, { number: 0x40000000, audit: AUDIT.x64 })).toBe(ENOSYS);
  expect(askFilter(filter, { number: 0, audit: AUDIT.x64 })).toBe("allow");
});

test("compileFilter() keeps jumps within a byte for any list", () => {
  const everySecond = syscallNames().filter((_, index) => index % 2 === 0);
  const filter = compileFilter({ architecture: "x64", allow: everySecond, rules: [] });
  for (const name of everySecond) {
    const number = syscallNumber(name, "x64");
    if (number !== null) expect([name, askFilter(filter, { number, audit: AUDIT.x64 })]).toEqual([name, "allow"]);
  }
});
