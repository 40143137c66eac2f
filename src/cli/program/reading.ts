// The commands that look at runs and what they left: what they take and how they explain themselves.

import type { CommandSpec, PositionalSpec } from "../grammar/command.ts";

const RUN_ID: PositionalSpec = {
  name: "RUN",
  brief: "a run's id or the start of it; the latest run when absent",
  optional: true,
  completes: "run",
};
const TASK: PositionalSpec = { name: "TASK", brief: "the key of a task", completes: "task" };

const RUNS_LIST: CommandSpec = {
  name: "runs list",
  summary: "List the runs this machine knows, newest first",
  detail: ["A run that was interrupted, also by a crash, is shown as such."],
  positionals: [],
  flags: { limit: { kind: "integer", short: "n", value: "N", brief: "show at most N runs (20 when not given)" } },
  defaultOfGroup: true,
  examples: [
    { command: "mesh runs", meaning: "the latest twenty" },
    { command: "mesh runs list --limit 100 --json", meaning: "for scripts" },
  ],
  load: () => import("../commands/runs-list.ts"),
};

const RESULTS: CommandSpec = {
  name: "results",
  summary: "Show how a run and its tasks ended",
  detail: [
    "Shows every task with its result, how it was obtained (executed or from the cache), its duration and what it left.",
    "Exits with 1 when the run failed, so that scripts can ask.",
  ],
  positionals: [RUN_ID],
  flags: {
    task: { kind: "text", short: "t", value: "TASK", brief: "everything about this one task", completes: "task" },
  },
  examples: [
    { command: "mesh results", meaning: "the latest run" },
    { command: "mesh results 01jb --task build", meaning: "one task: key, values, artifacts, messages" },
    {
      command: "mesh results --json | jq '.tasks[] | select(.status.result == \"failed\") | .key'",
      meaning: "keys of failed tasks",
    },
  ],
  load: () => import("../commands/results.ts"),
};

const LOGS: CommandSpec = {
  name: "logs",
  summary: "Print what a task printed",
  detail: [
    "Prints standard output and standard error in the order they came, standard error on standard error.",
    "With --follow it waits for more while the task runs. A task from the cache has the log of the run that executed it.",
  ],
  positionals: [RUN_ID, TASK],
  flags: {
    follow: { kind: "switch", short: "f", brief: "keep printing while the task runs" },
    stdout: { kind: "switch", brief: "only what it wrote to standard output" },
    stderr: { kind: "switch", brief: "only what it wrote to standard error" },
    timestamps: { kind: "switch", brief: "put the time before each line" },
  },
  examples: [
    { command: "mesh logs build", meaning: "the log of task build in the latest run" },
    { command: "mesh logs 01jb test --follow", meaning: "watch a task of a run that goes on" },
    { command: "mesh logs build --stderr --timestamps", meaning: "only errors, with times" },
  ],
  load: () => import("../commands/logs.ts"),
};

const ARTIFACTS_LIST: CommandSpec = {
  name: "artifacts list",
  summary: "List the files and folders that tasks of a run put out",
  detail: ["An artifact is named by the task that made it and its key in that task's `outputs.artifacts`."],
  positionals: [RUN_ID, { ...TASK, brief: "only those of this task", optional: true }],
  flags: {},
  defaultOfGroup: true,
  examples: [
    { command: "mesh artifacts list", meaning: "all of the latest run" },
    { command: "mesh artifacts list 01jb build", meaning: "those of one task" },
  ],
  load: () => import("../commands/artifacts-list.ts"),
};

const ARTIFACTS_DOWNLOAD: CommandSpec = {
  name: "artifacts download",
  summary: "Copy artifacts of a run into a folder",
  detail: [
    "Takes all artifacts of the run, of one TASK, or the one with KEY. Each stands at DIR/TASK/NAME.",
    "Nothing is ever written outside DIR: a symbolic link that points out of its artifact is refused.",
    "Files that exist are not overwritten unless --force is given.",
  ],
  positionals: [RUN_ID, { ...TASK, optional: true }, { name: "KEY", brief: "the key of one artifact", optional: true }],
  flags: {
    output: {
      kind: "text",
      short: "o",
      value: "DIR",
      brief: "where to put them (. when not given)",
      completes: "directory",
    },
    force: { kind: "switch", brief: "overwrite files that exist" },
  },
  examples: [
    { command: "mesh artifacts download build", meaning: "the artifacts of task build in the latest run, into ." },
    { command: "mesh artifacts download 01jb build binary -o out", meaning: "one artifact, into ./out" },
  ],
  load: () => import("../commands/artifacts-download.ts"),
};

const EXPLAIN: CommandSpec = {
  name: "explain",
  summary: "Say how a task was, or would be, placed, ordered and cached",
  detail: [
    "With TASK: what it waited for, what it asked of the machine, whether it fits and why not, and what its cache key is made of. With FILE: the plan of a definition before it runs: order, longest path, and which tasks fit nowhere.",
  ],
  positionals: [RUN_ID, { name: "TASK|FILE", brief: "the key of a task, or a run definition", completes: "file" }],
  flags: {},
  examples: [
    { command: "mesh explain build", meaning: "task build in the latest run" },
    { command: "mesh explain tasks.yml", meaning: "what a run of this definition would do" },
  ],
  load: () => import("../commands/explain.ts"),
};

const WHY: CommandSpec = {
  name: "why",
  summary: "Say why a task ran, or why it came from the cache",
  detail: [
    "Compares the task's cache key with that of the nearest earlier result: command, environment, base, and input files one by one.",
  ],
  positionals: [RUN_ID, TASK],
  flags: {},
  examples: [
    { command: "mesh why build", meaning: "task build in the latest run" },
    { command: "mesh why 01jb build --json", meaning: "the differences as data" },
  ],
  load: () => import("../commands/why.ts"),
};

export const READING: readonly CommandSpec[] = [
  RESULTS,
  LOGS,
  WHY,
  EXPLAIN,
  RUNS_LIST,
  ARTIFACTS_LIST,
  ARTIFACTS_DOWNLOAD,
];
