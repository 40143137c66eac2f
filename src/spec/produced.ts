// Values and artifacts that expressions read of a task: whether that task could have written them. What is impossible is an
// error; what cannot be decided, because the task runs programs of its own, is a warning.

import { printable } from "../base/text.ts";
import type { CommandTask, Task } from "./definition.ts";
import { BUILT_IN_PACKAGES } from "./packages.ts";
import { fault, type Reading } from "./reading.ts";
import type { Span } from "./source.ts";
import { didYouMean } from "./suggest.ts";
import { couldWrite, plainlyWritten, type Possibility, type Written } from "./task/script.ts";

const WORDS = {
  values: {
    writes: "writes the value",
    write: "write the value",
    variable: "$MESH_VALUES",
    unknown: "unknown-value",
    doubtful: "doubtful-value",
  },
  artifacts: {
    writes: "makes the artifact",
    write: "make the artifact",
    variable: "$MESH_ARTIFACTS",
    unknown: "unknown-artifact",
    doubtful: "doubtful-artifact",
  },
} as const;

export class ProducedChecker {
  readonly #reading: Reading;
  /** Answers by task, kind and name: thousands of tasks may read the same one. */
  readonly #answers = new Map<string, Possibility>();

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  /** Reports a name that the task cannot have written, or need not have. */
  check(task: Task, what: Written, { name, span }: { readonly name: string; readonly span: Span }): void {
    const { unknown, doubtful } = WORDS[what];
    const key = JSON.stringify(task.key);
    const shown = JSON.stringify(printable(name));
    switch (task.kind) {
      case "embedded-run": {
        const advice = `Name a task in it: \`tasks.${task.key}.tasks.T.${what}\`.`;
        return fault(this.#reading, doubtful, span, `The embedded run ${key} has no ${what} of its own`, advice);
      }
      case "app":
        return fault(this.#reading, unknown, span, `The app ${key} has no ${what}`);
      case "package": {
        const values = task.name === null ? null : (BUILT_IN_PACKAGES.get(task.name)?.values ?? null);
        const impossible = what === "values" && values !== null && !values.includes(name);
        if (impossible)
          fault(this.#reading, unknown, span, `The package ${String(task.name)} writes no value ${shown}`);
        return;
      }
      case "command":
        return this.#command(task, what, { name, span });
    }
  }

  #command(task: CommandTask, what: Written, { name, span }: { readonly name: string; readonly span: Span }): void {
    const declared = what === "values" ? task.outputs.values : task.outputs.artifacts.map((artifact) => artifact.key);
    if (declared.includes(name)) return;
    const answer = this.#couldWrite(task, what, name);
    if (answer === "yes") return;
    const { write, writes, variable, unknown, doubtful } = WORDS[what];
    const key = JSON.stringify(task.key);
    const shown = JSON.stringify(printable(name));
    const how = `Let it write ${variable}/${printable(name)}${what === "artifacts" ? ", or declare it under `outputs.artifacts`" : ""}.`;
    const advice = didYouMean(name, [...declared, ...plainlyWritten(task.run, what)], how);
    if (answer === "no") fault(this.#reading, unknown, span, `The task ${key} has no way to ${write} ${shown}`, advice);
    else fault(this.#reading, doubtful, span, `Nothing in the task ${key} shows that it ${writes} ${shown}`, advice);
  }

  #couldWrite(task: CommandTask, what: Written, name: string): Possibility {
    const id = `${task.key} ${what} ${name}`;
    const known = this.#answers.get(id);
    if (known) return known;
    const scripts = [task.run, ...task.backgroundProcesses.map((process) => process.run)];
    const answers = scripts.map((script) => couldWrite(script, what, name));
    const answer = answers.includes("yes") ? "yes" : answers.includes("perhaps") ? "perhaps" : "no";
    this.#answers.set(id, answer);
    return answer;
  }
}
