import { describe, expect, test } from "bun:test";
import type { CliNode } from "../../src/cli/context.ts";
import { exitCodeOf } from "../../src/cli/driving.ts";
import type { RunOutcome, RunRequest } from "../../src/node/node.ts";
import { FakeArchive } from "./fake/archive.ts";
import { fakeContext, runCommand } from "./fake/context.ts";
import { hit, node, runStarted } from "./fake/events.ts";
import { RUN_ID, STATUS, runJson, taskJson } from "./fake/run-json.ts";

const FILE = {
  path: "tasks.yml",
  absolutePath: "/p/tasks.yml",
  directory: "/p",
  text: "tasks:\n  - kee: a\n",
  digest: "sha256:0",
} as never;

/** A node that notes the request and answers. */
function fakeNode(
  answer: (request: RunRequest) => RunOutcome | Promise<RunOutcome>,
): CliNode & { readonly requests: RunRequest[] } {
  const requests: RunRequest[] = [];
  return {
    requests,
    run: (request) => {
      requests.push(request);
      return Promise.resolve(answer(request));
    },
  };
}

const finishedWith = (...args: Parameters<typeof runJson>): RunOutcome => ({
  kind: "finished",
  file: FILE,
  diagnostics: [],
  summary: runJson(...args),
});

describe("mesh run", () => {
  test("hands every flag to the node", async () => {
    const fake = fakeNode(() => finishedWith([]));
    const argv =
      "run ci.yml -t a -t b --init x=1=2 --fail-fast --no-cache --base host --title T --jobs 3 --isolation process".split(
        " ",
      );
    await runCommand(fakeContext({ node: fake }), ...argv);
    const { observer: _observer, signal: _signal, killSignal: _kill, ...options } = fake.requests[0] as RunRequest;
    expect(options).toEqual({
      path: "ci.yml",
      targets: ["a", "b"],
      init: { x: "1=2" },
      failFast: true,
      cache: false,
      base: "host",
      title: "T",
      jobs: 3,
      nodes: [],
      labels: [],
      backend: "process",
    });
  });

  test("prints little for a run from the cache", async () => {
    const fake = fakeNode(({ observer }) => {
      observer.event?.(runStarted([node("a")]));
      observer.event?.(hit("a"));
      return finishedWith([taskJson("a", STATUS.hit)]);
    });
    expect(await runCommand(fakeContext({ node: fake }), "run", "tasks.yml")).toMatchObject({
      code: 0,
      out: "✓ 1 task: all from cache in 1.2 s  run 01jb000000\n",
    });
  });

  test("says loudly that processes are not isolated", async () => {
    const said = await runCommand(
      fakeContext({ node: fakeNode(() => finishedWith([])) }),
      "run",
      "tasks.yml",
      "--isolation",
      "process",
    );
    expect(said.out).toStartWith(
      "warning: --isolation process: tasks run as you, on your files and network. Nothing is isolated.\n",
    );
  });

  test("shows why a definition cannot be run, as text and as JSON, with exit code 2", async () => {
    const diagnostic = {
      severity: "error",
      rule: "unknown-key",
      message: 'Unknown key "kee"',
      advice: 'Did you mean "key"?',
      at: { line: 2, column: 5 },
      endColumn: 8,
    } as const;
    const invalid = fakeNode(() => ({ kind: "invalid", file: FILE, diagnostics: [diagnostic] }));
    const text = await runCommand(fakeContext({ node: invalid }), "run", "tasks.yml");
    expect([text.code, text.out]).toEqual([2, ""]);
    expect(text.err).toContain("tasks.yml:2:5:");
    expect(text.err).toContain("^^^");
    expect(text.err).toContain("error: Cannot run tasks.yml: 1 error");
    const json = await runCommand(fakeContext({ node: invalid }), "run", "tasks.yml", "--json");
    expect(JSON.parse(json.err)).toMatchObject({
      error: {
        code: "definition.invalid",
        place: { file: "tasks.yml", line: 2, column: 5 },
        diagnostics: [{ rule: "unknown-key" }],
      },
    });
  });

  test("cancels at the first Ctrl-C, kills at the second, leaves at the third", async () => {
    const context = fakeContext({
      node: fakeNode(({ signal, killSignal }) => {
        const seen: boolean[][] = [];
        for (let times = 0; times < 3; times++) {
          context.interrupt();
          seen.push([signal.aborted, killSignal.aborted]);
        }
        expect(seen).toEqual([
          [true, false],
          [true, true],
          [true, true],
        ]);
        return finishedWith([taskJson("a", STATUS.cancelled)], { status: { execution: "aborted", result: "none" } });
      }),
    });
    const said = await runCommand(context, "run", "tasks.yml");
    expect(said.code).toBe(130);
    expect(said.out).toStartWith(
      "Stopping: tasks have their grace period to end. Ctrl-C again kills them now.\nKilled.\n",
    );
    expect(context.exits).toEqual([130]);
  });

  test("ends with 3 when the only failures are tasks that no machine fits", async () => {
    const refuse = (code: "capacity.none-fits" | "definition.invalid") =>
      fakeNode(({ observer }) => {
        observer.event?.(runStarted([node("big")]));
        observer.event?.({
          kind: "task-refused",
          key: "big",
          round: 1,
          atMs: 0,
          refusal: { code, message: "No machine fits", line: null },
        });
        return finishedWith([taskJson("big", STATUS.refused)]);
      });
    expect((await runCommand(fakeContext({ node: refuse("capacity.none-fits") }), "run", "tasks.yml")).code).toBe(3);
    expect((await runCommand(fakeContext({ node: refuse("definition.invalid") }), "run", "tasks.yml")).code).toBe(2);
  });

  test("refuses an --init without a value, before anything is opened", async () => {
    expect((await runCommand(fakeContext(), "run", "tasks.yml", "--init", "x")).error?.code).toBe("usage.invalid");
  });
});

test("exitCodeOf() is 1 as soon as some task failed by itself", () => {
  const summary = runJson([taskJson("a", STATUS.failed), taskJson("b", STATUS.refused)]);
  expect(exitCodeOf(summary, new Set(["capacity.none-fits"]))).toBe(1);
  expect(exitCodeOf(runJson([taskJson("a", STATUS.hit)]))).toBe(0);
});

describe("mesh retry", () => {
  test("runs again with the options of the earlier run", async () => {
    const archive = new FakeArchive([runJson([taskJson("a", STATUS.failed)])]);
    archive.options = {
      path: "/p/ci.yml",
      targets: ["a"],
      init: { x: "1" },
      failFast: true,
      cache: true,
      base: null,
      title: null,
      backend: "context",
      jobs: null,
      nodes: [],
      labels: [],
    };
    const fake = fakeNode(() => finishedWith([taskJson("a", STATUS.succeeded)]));
    const said = await runCommand(fakeContext({ archive, node: fake }), "retry");
    expect(fake.requests[0]).toMatchObject(archive.options);
    expect(said.code).toBe(0);
  });

  test("says what to do when the options were not kept", async () => {
    const archive = new FakeArchive([runJson([])]);
    expect((await runCommand(fakeContext({ archive }), "retry")).error?.hint).toBe(
      "`mesh run tasks.yml` runs its definition.",
    );
  });
});

describe("mesh cancel", () => {
  test("asks a run that goes on", async () => {
    const archive = new FakeArchive([runJson([], { status: { execution: "running", result: "none" } })]);
    expect((await runCommand(fakeContext({ archive }), "cancel", "01jb")).code).toBe(0);
    expect(archive.cancelled).toEqual([RUN_ID]);
  });

  test("refuses a run that is over", async () => {
    const said = await runCommand(fakeContext({ archive: new FakeArchive([runJson([])]) }), "cancel", "01jb");
    expect([said.code, said.error?.message]).toEqual([
      2,
      "Cannot cancel run 01jb000000: no process drives it any more",
    ]);
  });
});
