import { describe, expect, test } from "bun:test";
import { ABILITIES } from "./abilities.ts";
import { judge } from "./require.ts";

const there = { from: "package", reason: null } as const;
const noProgram = { from: "package", reason: "crun is not installed" } as const;
const noHardware = { from: "machine", reason: "no NVIDIA GPU" } as const;

describe("judge()", () => {
  test("runs a test whose needs are all met, strict or not", () => {
    for (const isStrict of [false, true]) expect(judge(["git"], [there], isStrict)).toEqual({ kind: "run" });
  });

  test("skips a test whose needs are not met, and names all that is missing", () => {
    expect(judge(["git", "crun", "nvidia-gpu"], [there, noProgram, noHardware], false)).toEqual({
      kind: "skip",
      reason: "crun: crun is not installed; nvidia-gpu: no NVIDIA GPU",
    });
  });

  test("fails a strict run's test that lacks only what a package gives", () => {
    expect(judge(["crun"], [noProgram], true)).toEqual({ kind: "fail", reason: "crun: crun is not installed" });
  });

  test("excuses a strict run's test that lacks what no package gives", () => {
    expect(judge(["crun", "nvidia-gpu"], [noProgram, noHardware], true).kind).toBe("skip");
  });
});

test("every ability can be probed on this machine", () => {
  for (const ability of Object.values(ABILITIES)) {
    const reason = ability.lacks();
    expect(reason === null || reason.length > 0).toBe(true);
  }
});
