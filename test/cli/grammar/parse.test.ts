import { describe, expect, test } from "bun:test";
import type { CommandSpec, Program } from "../../../src/cli/grammar/command.ts";
import { parseInvocation, wantsJson } from "../../../src/cli/grammar/parse.ts";
import { MeshError } from "../../../src/base/errors.ts";

const load = () => Promise.reject(new Error("not loaded in this test"));
const common = { summary: "", detail: [], examples: [], load };
const RUN: CommandSpec = {
  ...common,
  name: "run",
  positionals: [{ name: "FILE", brief: "the file", optional: true }],
  flags: {
    target: { kind: "text", short: "t", brief: "", repeats: true },
    jobs: { kind: "integer", brief: "" },
    "fail-fast": { kind: "switch", brief: "" },
    base: { kind: "choice", choices: ["host"], brief: "" },
  },
};
const RUNS: CommandSpec = { ...common, name: "runs list", defaultOfGroup: true, positionals: [], flags: {} };
const LOGS: CommandSpec = {
  ...common,
  name: "logs",
  positionals: [
    { name: "RUN", brief: "", optional: true },
    { name: "TASK", brief: "the key of a task" },
  ],
  flags: {},
};
const PRUNE: CommandSpec = { ...common, name: "cache prune", positionals: [], flags: {} };
const PROGRAM: Program = { name: "mesh", summary: "", groups: [{ title: "", commands: [RUN, RUNS, LOGS, PRUNE] }] };

function parsed(...argv: string[]) {
  const invocation = parseInvocation(PROGRAM, argv);
  if (invocation.kind !== "command") throw new Error(`expected a command, got ${invocation.kind}`);
  return invocation;
}

function fault(...argv: string[]): { code: string; message: string; hint: string } {
  try {
    parseInvocation(PROGRAM, argv);
  } catch (error) {
    if (error instanceof MeshError) return { code: error.code, message: error.message, hint: error.hint };
    throw error;
  }
  throw new Error("expected a fault");
}

describe("parseInvocation()", () => {
  test("takes flags before and after words, with = and without", () => {
    const { spec, args } = parsed("run", "--target", "a", "ci.yml", "-t", "b", "--jobs=4", "--fail-fast");
    expect(spec.name).toBe("run");
    expect(args.words).toEqual(["ci.yml"]);
    expect(args.texts("target")).toEqual(["a", "b"]);
    expect(args.integer("jobs")).toBe(4);
    expect(args.on("fail-fast")).toBe(true);
    expect(args.on("json")).toBe(false);
    expect(args.text("base")).toBeNull();
  });

  test("keeps everything after -- as words, and - as a word", () => {
    expect(parsed("run", "--", "--json").args.words).toEqual(["--json"]);
    expect(parsed("run", "-").args.words).toEqual(["-"]);
  });

  test("takes a value that looks like a flag", () => {
    expect(parsed("run", "--target", "--odd").args.texts("target")).toEqual(["--odd"]);
  });

  test("finds commands of two words, and the default of a group", () => {
    expect(parsed("runs", "list").spec.name).toBe("runs list");
    expect(parsed("runs", "--json").spec.name).toBe("runs list");
    expect(parseInvocation(PROGRAM, ["cache"])).toEqual({ kind: "help", about: { group: "cache" } });
  });

  test("answers help in all its forms, also beside faults of words", () => {
    expect(parseInvocation(PROGRAM, [])).toEqual({ kind: "help", about: null });
    expect(parseInvocation(PROGRAM, ["help", "logs"])).toEqual({ kind: "help", about: LOGS });
    expect(parseInvocation(PROGRAM, ["logs", "--help"])).toEqual({ kind: "help", about: LOGS });
    expect(parseInvocation(PROGRAM, ["--version"])).toEqual({ kind: "version" });
  });

  test("refuses an unknown command with the one that was meant", () => {
    expect(fault("rnu")).toEqual({
      code: "usage.invalid",
      message: "Cannot run `mesh rnu`: there is no such command",
      hint: "Did you mean `mesh run`? `mesh help` lists the commands.",
    });
    expect(fault("cache", "prnue").hint).toStartWith("Did you mean `mesh cache prune`?");
    expect(fault("cache", "xyzzy").hint).toStartWith("There are `mesh cache prune`.");
  });

  test("refuses an unknown flag with the one that was meant", () => {
    expect(fault("run", "--taget", "a")).toEqual({
      code: "usage.invalid",
      message: "Cannot understand `--taget`: `mesh run` has no such flag",
      hint: "Did you mean `--target`? `mesh run --help` shows all it takes.",
    });
    expect(fault("run", "-x").message).toContain("`-x`");
    expect(fault("run", "--constructor").message).toContain("no such flag");
  });

  test("refuses values that are missing, unwanted or wrong", () => {
    expect(fault("run", "--target").message).toContain("needs");
    expect(fault("run", "--fail-fast=yes").message).toContain("switch");
    expect(fault("run", "--jobs", "0").message).toContain("whole number");
    expect(fault("run", "--jobs", "1e3").message).toContain("whole number");
    expect(fault("run", "--base", "alpine").message).toContain("host is expected");
  });

  test("refuses too few and too many words", () => {
    expect(fault("logs").message).toBe("Cannot run `mesh logs` without TASK: the key of a task");
    expect(fault("run", "a", "b").message).toContain("`b`");
  });

  test("shows control characters of what was typed", () => {
    expect(fault("\u001b[2J").message).toContain("\\u001b");
  });
});

test("wantsJson() looks only before --", () => {
  expect(wantsJson(["run", "--json"])).toBe(true);
  expect(wantsJson(["run", "--", "--json"])).toBe(false);
});
