// The commands that check and run definitions: what they take and how they explain themselves.

import type { CommandSpec } from "../grammar/command.ts";

const RUN: CommandSpec = {
  name: "run",
  summary: "Run the tasks of a definition on this machine",
  detail: [
    'Runs every task in a context of its own, as many at once as CPU and memory allow, in the order that their "use" and "after" ask for. What ran before on the same inputs is not run again: it comes from the cache.',
    "Without FILE it takes tasks.yml, or the only definition in .mesh/ or .rwx/.",
    "Ctrl-C stops the tasks within their grace period, a second one kills them at once.",
  ],
  positionals: [{ name: "FILE", brief: "the run definition", optional: true, completes: "file" }],
  flags: {
    target: {
      kind: "text",
      short: "t",
      value: "TASK",
      brief: "run only this task and what it needs",
      repeats: true,
      completes: "task",
    },
    init: { kind: "text", value: "KEY=VALUE", brief: "set an init parameter of the definition", repeats: true },
    "fail-fast": { kind: "switch", brief: "stop all other tasks as soon as one fails" },
    "no-cache": { kind: "switch", brief: "run every task, also those whose result is known" },
    base: {
      kind: "choice",
      choices: ["host"],
      brief: "run on this machine's own files, whatever base the definition names",
    },
    title: { kind: "text", value: "TEXT", brief: "name the run, to find it again in `mesh runs`" },
    jobs: { kind: "integer", short: "j", value: "N", brief: "run at most N tasks at once" },
    isolation: { kind: "choice", choices: ["context", "process"], brief: "`process` runs tasks without any isolation" },
    plain: { kind: "switch", brief: "print lines also on a terminal, no live view" },
    detach: {
      kind: "switch",
      short: "d",
      brief: "print the run's id and leave it to the node that runs in the background",
    },
    node: { kind: "text", value: "NAME", brief: "use only this machine of the mesh", repeats: true, completes: "node" },
    label: { kind: "text", value: "LABEL", brief: "use only machines with this label", repeats: true },
  },
  examples: [
    { command: "mesh run", meaning: "run everything in ./tasks.yml" },
    { command: "mesh run ci.yml --target test --target lint", meaning: "only these two, and what they need" },
    { command: "mesh run --init commit=main --fail-fast", meaning: "set a parameter; stop at the first failure" },
    {
      command: "mesh run --json | tail -1 | jq .status.result",
      meaning: "for scripts: events as JSON lines, the run last",
    },
  ],
  load: () => import("../commands/run.ts"),
};

const LINT: CommandSpec = {
  name: "lint",
  summary: "Check run definitions without running anything",
  detail: [
    "Reports every fault with its file, line and column: unknown keys, tasks that do not exist, cycles, expressions that cannot be evaluated. Exits with 2 when there is an error, with 0 when there are only warnings or nothing at all.",
    'Without FILES it checks what `mesh run` would take. "-" reads the definition from standard input.',
  ],
  positionals: [{ name: "FILES", brief: "definitions to check", optional: true, repeats: true, completes: "file" }],
  flags: { sarif: { kind: "switch", brief: "print SARIF 2.1.0, as code review tools read it" } },
  examples: [
    { command: "mesh lint", meaning: "check ./tasks.yml" },
    { command: "mesh lint .mesh/*.yml --sarif > lint.sarif", meaning: "for a code review tool" },
    { command: "generate-tasks | mesh lint -", meaning: "check what a program prints" },
  ],
  load: () => import("../commands/lint.ts"),
};

const RETRY: CommandSpec = {
  name: "retry",
  summary: "Run the definition of an earlier run again, with the same options",
  detail: [
    "What succeeded then comes from the cache, so only what failed, what was never started and what has changed since runs.",
    "The definition is read from its file as it stands; RUN is the latest run when it is not given.",
  ],
  positionals: [{ name: "RUN", brief: "a run's id or the start of it", optional: true, completes: "run" }],
  flags: { plain: { kind: "switch", brief: "print lines also on a terminal, no live view" } },
  examples: [
    { command: "mesh retry", meaning: "the latest run once more" },
    { command: "mesh retry 01jb", meaning: "the run whose id starts with 01jb" },
  ],
  load: () => import("../commands/retry.ts"),
};

const ATTACH: CommandSpec = {
  name: "attach",
  summary: "Watch a run that goes on, wherever in the mesh it was started",
  detail: [
    "Shows what has happened so far, then what happens, as `mesh run` does. Ctrl-C ends the watching, not the run. The exit code is the run's.",
  ],
  positionals: [{ name: "RUN", brief: "a run's id or the start of it", completes: "run" }],
  flags: { plain: { kind: "switch", brief: "print lines also on a terminal, no live view" } },
  examples: [{ command: "mesh attach 01jb", meaning: "until the run ends" }],
  load: () => import("../commands/attach.ts"),
};

const CANCEL: CommandSpec = {
  name: "cancel",
  summary: "Stop a run, wherever in the mesh it was started",
  detail: [
    "Asks the process that drives the run to stop it, as Ctrl-C would there. Its tasks have their grace period to end; a second time they are killed.",
  ],
  positionals: [{ name: "RUN", brief: "a run's id or the start of it", completes: "run" }],
  flags: {},
  examples: [{ command: "mesh cancel 01jb", meaning: "stop the run whose id starts with 01jb" }],
  load: () => import("../commands/cancel.ts"),
};

export const RUNNING: readonly CommandSpec[] = [RUN, LINT, RETRY, ATTACH, CANCEL];
