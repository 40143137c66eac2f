import { describe, expect, test } from "bun:test";
import { JsonReporter } from "../../../src/cli/view/json-reporter.ts";
import { bytes, finished, hit, node, runStarted, started } from "../fake/events.ts";
import { nodeJson } from "../../../src/cli/text/mesh-words.ts";
import { peer } from "../fake/mesh.ts";
import { FakeOutput } from "../fake/output.ts";
import { STATUS, runJson, taskJson } from "../fake/run-json.ts";
import { resolve } from "node:path";
import { MeshError } from "../../../src/base/errors.ts";
import { diagnosticJson } from "../../../src/cli/diagnostics.ts";
import { errorJson } from "../../../src/cli/text/error-text.ts";
import type { RunEvent } from "../../../src/sched/run-event.ts";
import { type Schema, schemaFaults } from "../fake/json-schema.ts";

const SUMMARY = runJson([taskJson("lint", STATUS.hit), taskJson("build", STATUS.succeeded)]);
const SCHEMA = (await Bun.file(resolve(import.meta.dir, "../../../schema/output.schema.json")).json()) as Schema;

function faults(value: unknown, name: string): readonly string[] {
  return schemaFaults(JSON.parse(JSON.stringify(value)), { $ref: `#/$defs/${name}` }, SCHEMA);
}

describe("JsonReporter", () => {
  test("prints documented events, and the run as the last line", () => {
    const out = new FakeOutput();
    const reporter = new JsonReporter(out, () => 0);
    reporter.event(runStarted([node("a"), node("b", ["a"])]));
    reporter.event(started("a"));
    reporter.output("a", "stdout", bytes("\u001b[31mhé").slice(0, -1));
    reporter.output("a", "stdout", bytes("é").slice(1));
    reporter.event(finished("a", { result: "failed", exitCode: 1 }));
    reporter.finished(SUMMARY);
    const lines = out.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map((line) => line["event"])).toEqual([
      "run-started",
      "task-started",
      "task-output",
      "task-output",
      "task-finished",
      "task-skipped",
      undefined,
    ]);
    expect(lines[0]).toEqual({
      event: "run-started",
      run: "01jb0000000000000r",
      title: "tasks.yml",
      definition: "tasks.yml",
      init: {},
      targets: [],
      coordinator: "here",
      tasks: ["a", "b"],
      at: "1970-01-01T00:00:00.000Z",
    });
    expect(lines.slice(2, 4).map((line) => line["text"])).toEqual(["\u001b[31mh", "é"]);
    expect(lines.at(-1)).toEqual(JSON.parse(JSON.stringify(SUMMARY)) as Record<string, unknown>);
  });
});

describe("schema/output.schema.json", () => {
  test("holds for runs and tasks in every state", () => {
    const asked = { cpuMilli: 500, memoryBytes: 0, gpus: 0 };
    const outputs = {
      values: { a: "1" },
      artifacts: [{ key: "k", digest: "sha256:0", sizeBytes: 1, path: "p" }],
      links: { l: "https://x" },
      testResults: [],
      problems: [],
    };
    const message = { level: "error", text: "t", file: null, line: 3 } as const;
    const tasks = Object.values(STATUS).map((status, index) =>
      taskJson(`t${index}`, status, { asked, used: { cpuMs: 3, memoryBytesMax: null }, outputs, messages: [message] }),
    );
    expect(faults(runJson(tasks), "run")).toEqual([]);
    for (const execution of ["waiting", "running", "finished", "aborted"] as const) {
      expect(
        faults(
          runJson([], { status: { execution, result: "none" }, startedAt: null, completedAt: null, durationMs: null }),
          "run",
        ),
      ).toEqual([]);
    }
  });

  test("holds for machines, whatever is known of them", () => {
    expect(faults(nodeJson(peer("attic")), "node")).toEqual([]);
    expect(
      faults(nodeJson(peer("barn", { state: "down", reason: "r", foundBy: null, snapshot: null })), "node"),
    ).toEqual([]);
  });

  test("holds for errors and diagnostics", () => {
    const error = new MeshError("definition.invalid", "m", {
      place: { file: "f", line: 1, column: 2 },
      cause: new Error("c"),
    });
    expect(faults(errorJson(error), "error")).toEqual([]);
    const diagnostic = {
      severity: "error",
      rule: "cycle",
      message: "m",
      advice: "",
      at: { line: 1, column: 1 },
      endColumn: 2,
    } as const;
    expect(faults(diagnosticJson("f", diagnostic), "diagnostic")).toEqual([]);
    expect(faults({ error: { ...error.toJSON(), diagnostics: [diagnosticJson("f", diagnostic)] } }, "error")).toEqual(
      [],
    );
  });

  test("holds for every event that is printed", () => {
    const out = new FakeOutput();
    const reporter = new JsonReporter(out, () => 0);
    const attempt = { key: "b", attempt: 1, lease: "b", atMs: 0 };
    const ask = {
      cpuMilli: 0,
      memoryBytes: 0,
      diskBytes: 0,
      gpus: 0,
      gpuMemoryBytes: 0,
      os: null,
      arch: null,
      labels: [],
      node: null,
      baseKey: null,
    };
    const events: readonly RunEvent[] = [
      runStarted([node("a"), node("b"), node("c", ["b"]), node("d")]),
      { kind: "tasks-added", by: "a", tasks: [node("a.x")], atMs: 0 },
      hit("a"),
      {
        kind: "task-resolved",
        key: "b",
        round: 1,
        atMs: 0,
        outcome: { kind: "miss", cacheKey: "sha256:1", ask, shared: true },
      },
      { kind: "task-resolved", key: "a.x", round: 1, atMs: 0, outcome: { kind: "skip" } },
      {
        kind: "task-refused",
        key: "d",
        round: 1,
        atMs: 0,
        refusal: { code: "capacity.none-fits", message: "m", line: null },
      },
      { kind: "task-deferred", key: "b", round: 1, atMs: 0, elsewhere: "01jb" },
      { kind: "task-undeferred", key: "b", round: 1, atMs: 0 },
      { kind: "task-placed", node: "here", ...attempt },
      { kind: "task-lost", reason: "gone", ...attempt },
      { kind: "output-lost", key: "a", reason: "gone", atMs: 0 },
      started("b"),
      { kind: "cancel-requested", by: "u", atMs: 0 },
    ];
    for (const event of events) reporter.event(event);
    reporter.output("b", "stderr", bytes("x"));
    reporter.event(finished("b", { result: "failed", reason: "out-of-memory", exitCode: null, signal: "SIGKILL" }));
    reporter.notice("warning", "w");
    const lines = out.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string });
    for (const line of lines) expect([line.event, faults(line, "event")]).toEqual([line.event, []]);
    const documented = (SCHEMA.$defs?.["event"]?.oneOf ?? []).map(
      (form) => form.properties?.["event"]?.const as string,
    );
    expect([...new Set(lines.map(({ event }) => event))].sort()).toEqual(documented.toSorted());
  });
});
