// The compiled program on a real pseudo-terminal: the live view, Ctrl-C, and readers that go away.

import { describe, expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { meshBinary } from "../support/binary.ts";
import { testIf } from "../support/require.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary.ts";
import { FakeTerminal } from "../cli/fake/terminal.ts";

const NEEDS = ["binary", "user-namespaces"] as const;

function environment(folder: TemporaryFolder): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    HOME: folder.path,
    MESH_HOME: folder.join("home"),
    TERM: "xterm-256color",
  };
}

/** Runs mesh on a terminal; `react` is told everything shown so far and may answer with keys. */
async function onTerminal(
  folder: TemporaryFolder,
  argv: readonly string[],
  react: (shown: string) => string | null = () => null,
) {
  const screen = new FakeTerminal(80, 24);
  const decoder = new TextDecoder();
  let shown = "";
  const child = Bun.spawn([meshBinary, ...argv], {
    cwd: folder.path,
    env: { ...environment(folder), NO_COLOR: "1" },
    terminal: {
      cols: 80,
      rows: 24,
      data(terminal, bytes) {
        const text = decoder.decode(bytes, { stream: true });
        shown += text;
        screen.write(text.replaceAll("\r\n", "\n"));
        const keys = react(shown);
        if (keys !== null) terminal.write(keys);
      },
    },
  });
  const code = await child.exited;
  child.terminal?.close();
  return { code, lines: screen.lines, shown, cursorHidden: screen.cursorHidden };
}

describe("mesh run on a terminal", () => {
  testIf(NEEDS, "draws what runs and leaves lines and a summary behind", async () => {
    using folder = temporaryFolder();
    writeFileSync(
      folder.join("tasks.yml"),
      'tasks:\n  - { key: a, run: "echo one; sleep 0.5" }\n  - { key: b, use: a, run: "echo broken; exit 3" }\n  - { key: c, use: b, run: "true" }\n',
    );
    const { code, lines, shown, cursorHidden } = await onTerminal(folder, ["run"]);
    expect(code).toBe(1);
    expect(shown).toContain("│ one");
    expect(shown).toContain("0/3 · 1 running");
    expect(cursorHidden).toBe(false);
    const left = lines.map((line) => line.replace(/\d+(\.\d+)? m?s\b/g, "T").replace(/[0-9a-z]{10}(?= b$|$)/, "RUN"));
    expect(left).toEqual([
      "Running tasks.yml",
      "✓ a  T",
      "✗ b  exit code 3 after T",
      "- c  skipped",
      "",
      "✗ b  exit code 3 after T",
      "  │ broken",
      "  whole log  mesh logs RUN b",
      "  run again  mesh run tasks.yml --target b",
      "",
      "✗ 3 tasks: 1 failed, 1 skipped, 1 executed in T  run RUN",
      "",
    ]);
  });

  testIf(NEEDS, "stops within the grace period at Ctrl-C and gives the terminal back", async () => {
    using folder = temporaryFolder();
    writeFileSync(folder.join("tasks.yml"), 'tasks:\n  - { key: a, run: "echo up; sleep 60" }\n');
    let pressed = false;
    const { code, shown, cursorHidden } = await onTerminal(folder, ["run"], (text) => {
      if (pressed || !text.includes("│ up")) return null;
      pressed = true;
      return "\u0003";
    });
    expect(code).toBe(130);
    expect(shown).toContain("Stopping: tasks have their grace period to end.");
    expect(shown).toContain("■ 1 task: 1 cancelled");
    expect(cursorHidden).toBe(false);
  });

  testIf(NEEDS, "kills at the second Ctrl-C what does not heed the first", async () => {
    using folder = temporaryFolder();
    writeFileSync(
      folder.join("tasks.yml"),
      'tasks:\n  - key: a\n    terminate-grace-period-seconds: 60\n    run: "trap : TERM INT; echo up; while true; do sleep 0.1; done"\n',
    );
    let presses = 0;
    const { code } = await onTerminal(folder, ["run"], (text) => {
      if ((presses === 0 && text.includes("│ up")) || (presses === 1 && text.includes("Stopping:"))) {
        presses++;
        return "\u0003";
      }
      return null;
    });
    expect(code).toBe(130);
  });
});

describe("mesh in a pipe", () => {
  testIf(NEEDS, "ends in silence when its reader goes away, and stops the run", async () => {
    using folder = temporaryFolder();
    writeFileSync(
      folder.join("tasks.yml"),
      'tasks:\n  - { key: a, run: "while true; do echo line; sleep 0.05; done" }\n',
    );
    const child = Bun.spawn(["bash", "-c", '"$0" run --plain | head -2', meshBinary], {
      cwd: folder.path,
      env: environment(folder),
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    expect(out).toBe("Running tasks.yml\n● a  started\n");
    expect(err).toBe("");
  });

  testIf("binary", "never waits for standard input", async () => {
    using folder = temporaryFolder();
    const child = Bun.spawn([meshBinary, "runs"], {
      env: environment(folder),
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    const [out, code] = await Promise.all([child.stdout.text(), child.exited]);
    void child.stdin.end();
    expect([code, out]).toEqual([0, "No runs yet. Start one with `mesh run tasks.yml`.\n"]);
  });

  testIf("binary", "prints errors on standard error, as JSON when asked, with the documented exit code", async () => {
    using folder = temporaryFolder();
    const run = (...argv: string[]) =>
      Bun.spawnSync([meshBinary, ...argv], {
        cwd: folder.path,
        env: environment(folder),
        stdout: "pipe",
        stderr: "pipe",
      });
    const text = run("run", "nope.yml");
    expect([text.exitCode, text.stdout.toString()]).toEqual([2, ""]);
    expect(text.stderr.toString()).toStartWith("error: Cannot read nope.yml: there is no such file\n");
    const json = run("logs", "--json");
    expect(json.exitCode).toBe(2);
    expect(JSON.parse(json.stderr.toString())).toMatchObject({ error: { code: "usage.invalid" } });
  });
});
