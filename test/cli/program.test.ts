// What is made from the command table: help, completions, the reference in docs/cli.md.

import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { completionScript } from "../../src/cli/grammar/completions.ts";
import { type CommandSpec, commandsOf } from "../../src/cli/grammar/command.ts";
import { helpText } from "../../src/cli/grammar/help.ts";
import { parseInvocation } from "../../src/cli/grammar/parse.ts";
import { PROGRAM } from "../../src/cli/program/program.ts";
import { PLAIN_STYLE } from "../../src/cli/text/style.ts";
import { testIf } from "../support/require.ts";

const COMMANDS = commandsOf(PROGRAM);

describe("the command table", () => {
  test("has names, letters and positionals that cannot be confused", () => {
    for (const { name, flags, positionals } of COMMANDS) {
      expect(name).toMatch(/^[a-z]+( [a-z]+)?$/);
      const letters = Object.values(flags).flatMap(({ short }) => short ?? []);
      expect(new Set([...letters, "h"]).size).toBe(letters.length + 1);
      expect(positionals.slice(0, -1).some(({ repeats }) => repeats)).toBe(false);
    }
    expect(new Set(COMMANDS.map(({ name }) => name)).size).toBe(COMMANDS.length);
  });

  test("has a module for every command", async () => {
    for (const command of COMMANDS) expect(await command.load()).toHaveProperty("execute");
  });

  test("shows only examples that parse", () => {
    for (const example of COMMANDS.flatMap((command) => command.examples)) {
      const line = example.command.split(/ [|>] /).find((part) => part.startsWith("mesh ")) ?? "";
      const argv = line
        .replace(/'([^']*)'|"([^"]*)"/g, "$1$2")
        .split(" ")
        .slice(1);
      expect(() => parseInvocation(PROGRAM, argv)).not.toThrow();
    }
  });
});

test("helpText() names every command and flag in lines that are not too long", () => {
  const program = helpText(PROGRAM, null, PLAIN_STYLE);
  for (const { name, summary } of COMMANDS) expect(program).toContain(`  ${name.padEnd(18)}  ${summary}\n`);
  for (const command of COMMANDS) {
    const help = helpText(PROGRAM, command, PLAIN_STYLE);
    expect(help).toStartWith(`${command.summary}.\n\nUsage  mesh ${command.name}`);
    for (const flag of [...Object.keys(command.flags), "json", "help"]) expect(help).toContain(`--${flag}`);
    for (const line of help.split("\n")) expect(line.length).toBeLessThanOrEqual(110);
  }
});

describe("completionScript()", () => {
  /** What bash would offer for these words. */
  function offered(...words: string[]): readonly string[] {
    const script = `${completionScript(PROGRAM, "bash")}
      mesh() { case "$*" in "runs list --json") echo '{"runs":[{"id":"01jb0000000000000r"}]}' ;; "results --json") echo '{"tasks":[{"id":"x","key":"build"},{"key":"test"}]}' ;; esac; }
      COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _mesh; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, exitCode } = Bun.spawnSync(["bash", "-c", script, "bash", "mesh", ...words], {
      cwd: resolve(import.meta.dir, ".."),
    });
    expect(exitCode).toBe(0);
    return stdout.toString().trim().split("\n");
  }

  test("bash offers commands, subcommands, flags, values, runs, tasks and files", () => {
    expect(offered("ca")).toEqual(["cancel", "cache"]);
    expect(offered("cache", "")).toEqual(["stats", "ls", "prune", "limit", "verify"]);
    expect(offered("cache", "prune", "--o")).toEqual(["--older-than"]);
    expect(offered("run", "--isolation", "")).toEqual(["context", "process"]);
    expect(offered("run", "--target", "")).toEqual(["build", "test"]);
    expect(offered("logs", "")).toEqual(["01jb0000000000000r", "build", "test"]);
    expect(offered("lint", "layout.te")).toEqual(["layout.test.ts"]);
  });

  test("zsh and fish know every command and every flag", () => {
    for (const shell of ["zsh", "fish"] as const) {
      const script = completionScript(PROGRAM, shell);
      for (const command of COMMANDS) for (const word of command.name.split(" ")) expect(script).toContain(word);
      for (const flag of COMMANDS.flatMap((command) => Object.keys(command.flags))) expect(script).toContain(flag);
    }
  });

  for (const shell of ["zsh", "fish"] as const) {
    testIf(shell, `${shell} reads its script without a fault`, () => {
      const script = completionScript(PROGRAM, shell);
      expect(Bun.spawnSync([shell, "-n", "/dev/stdin"], { stdin: Buffer.from(script) }).exitCode).toBe(0);
    });
  }
});

test("docs/cli.md names every command and every flag", async () => {
  const text = await Bun.file(resolve(import.meta.dir, "../../docs/cli.md")).text();
  const sectionOf = ({ name }: CommandSpec) => text.split(`\n### mesh ${name}\n`)[1]?.split("\n### ")[0] ?? "";
  for (const command of COMMANDS) {
    for (const flag of Object.keys(command.flags)) expect(sectionOf(command)).toContain(`\`--${flag}`);
    expect(sectionOf(command)).toContain(command.summary);
  }
});
