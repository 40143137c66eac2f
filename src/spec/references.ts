// References resolved once all tasks are known: tasks that are named, what expressions read of them, and the other names
// that expressions start with. What cannot exist is an error; what cannot be decided is at most a warning.

import { printable, sentenceList } from "../base/text.ts";
import type { Definition, NotExecuted, Position, Task } from "./definition.ts";
import { FUNCTIONS } from "./expression/functions.ts";
import { namedIn, type Path } from "./expression/paths.ts";
import { compilePattern, PatternFault } from "./expression/pattern.ts";
import { ProducedChecker } from "./produced.ts";
import { didYouMean, slipOf } from "./suggest.ts";
import { parallelNames } from "./task/parallel.ts";
import { fault, type Met, type Place, type Reading } from "./reading.ts";
import type { Span } from "./source.ts";
import { type Link, taskOf } from "./task/keys.ts";
import type { Draft } from "./task/draft.ts";

/** Why one task comes after another, and where that is said. */
export interface Edge {
  readonly to: number;
  readonly span: Span;
}

export interface Known {
  readonly drafts: readonly Draft[];
  readonly byKey: ReadonlyMap<string, number>;
  readonly definition: Omit<Definition, "tasks" | "notExecuted">;
  /** True when the definition says what starts it, and so which init there is. */
  readonly hasTriggers: boolean;
  /** True when other files bring tasks as well: a task that is not here may be there. */
  readonly open: boolean;
  readonly notExecuted: NotExecuted[];
}

/** Checks every reference and gives, for each task, what it waits for. Fills the drafts' `references` and `afterTasks`. */
export function checkReferences(reading: Reading, known: Known, links: readonly Link[]): readonly (readonly Edge[])[] {
  const edges: Edge[][] = known.drafts.map(() => []);
  const checker = new Checker(reading, known, edges);
  for (const link of links) checker.link(link, null);
  for (const [index, draft] of known.drafts.entries()) for (const link of draft.links) checker.link(link, index);
  for (const met of reading.met) checker.expression(met);
  for (const draft of known.drafts) {
    sortUnique(draft.references);
    draft.notExecuted.sort((a, b) => a.at.line - b.at.line || a.at.column - b.at.column);
    if (draft.task.after.condition) sortUnique(draft.afterTasks);
  }
  return edges;
}

function sortUnique(list: string[]): void {
  const sorted = [...new Set(list)].toSorted();
  list.length = 0;
  for (const item of sorted) list.push(item);
}

/** Contexts that an expression may start with, by where it stands. */
const CONTEXTS: Readonly<Record<Place, readonly string[]>> = (() => {
  const always = ["event", "github", "github-apps", "gitlab", "init", "params", "run", "secrets", "vaults"];
  const task = [...always, "package", "parallel", "task", "tasks"];
  return { task, after: task, retry: task, trigger: always, base: always, pool: always, "package-output": task };
})();

const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  run: ["id", "dir", "mint-dir", "url", "title", "started-at"],
  task: ["id", "key", "url", "attempt-number"],
  tasks: ["values", "artifacts", "id", "tasks", "key", "url"],
};

/** What old definitions call the run, its trigger and its tasks: there, it is no slip. */
const OLD_ROOT = "mint";

const STATES = ["succeeded", "failed", "skipped"];

class Checker {
  readonly #reading: Reading;
  readonly #known: Known;
  readonly #edges: readonly Edge[][];
  readonly #generated: readonly RegExp[];
  #suggestions = 50;
  readonly #produced: ProducedChecker;

  constructor(reading: Reading, known: Known, edges: readonly Edge[][]) {
    this.#reading = reading;
    this.#known = known;
    this.#edges = edges;
    this.#produced = new ProducedChecker(reading);
    this.#generated = known.drafts.flatMap(({ task }) => generatedKeys(task) ?? []);
  }

  link(link: Link, from: number | null): void {
    const { relation, key, span } = link;
    const { definition, byKey } = this.#known;
    if (key === "package.use") {
      if (definition.form === "run" && !this.#known.open) {
        fault(
          this.#reading,
          "unknown-task",
          span,
          "`package.use` stands for the caller's `use`, and this is no package",
          "Name tasks of this definition.",
        );
      }
      return;
    }
    const first = taskOf(link);
    const to = byKey.get(first);
    if (to !== undefined && first !== key) this.#inner(key, to, span);
    if (to === undefined) this.#unknownTask(first, span, `\`${relation}\``);
    else if (from !== null && relation !== "inherit") this.#edges[from]?.push({ to, span });
  }

  /** A path leads into what a task brings; a command brings no tasks but those that it writes while it runs. */
  #inner(path: string, to: number, span: Span): void {
    if (this.#hasInner(to)) return;
    const advice = `Tasks are inside of packages and embedded runs; \`${taskOf({ key: path })}\` is neither.`;
    fault(this.#reading, "doubtful-context", span, `There may be no task ${JSON.stringify(printable(path))}`, advice);
  }

  #hasInner(index: number): boolean {
    const task = this.#known.drafts[index]?.task;
    return task !== undefined && (task.parallel !== null || (task.kind !== "command" && task.kind !== "app"));
  }

  expression(met: Met): void {
    const { paths, calls, patterns } = namedIn(met.expression);
    for (const path of paths) this.#path(path, met);
    for (const call of calls) this.#call(call, met);
    for (const pattern of patterns) this.#pattern(pattern, met);
  }

  #path(path: Path, met: Met): void {
    if (met.place === "after" && this.#state(path, met)) return;
    const contexts = CONTEXTS[met.place];
    if (!contexts.includes(path.root)) return this.#unknownContext(path, met, contexts);
    switch (path.root) {
      case "tasks":
        return this.#task(path, met);
      case "init":
        return this.#init(path, met);
      case "params":
        return this.#param(path);
      case "parallel":
        return this.#parallel(path, met);
      case "run":
      case "task":
        return this.#member(path);
    }
  }

  /** `<task>.succeeded` in `after`. True when the path is one, or means to be one. */
  #state(path: Path, met: Met): boolean {
    const to = this.#known.byKey.get(path.root);
    const state = to !== undefined && this.#hasInner(to) ? path.segments.at(-1) : path.segments[0];
    const span = this.#span(path);
    if (to === undefined) {
      if (CONTEXTS.after.includes(path.root) || !state || !isStateOrSlip(state.name)) return false;
      this.#unknownTask(path.root, span, "`after`");
      return true;
    }
    const isState = state !== undefined && state.name !== null && STATES.includes(state.name);
    if (!isState && CONTEXTS.after.includes(path.root)) return false;
    if (met.task !== null) {
      this.#edges[met.task]?.push({ to, span });
      this.#known.drafts[met.task]?.afterTasks.push(path.root);
    }
    if (!isState) {
      const advice = didYouMean(
        state?.name ?? "",
        STATES,
        `Use \`${path.root}.succeeded\`, \`.failed\` or \`.skipped\`.`,
      );
      fault(this.#reading, "unknown-member", span, `\`${written(path)}\` is no state of a task`, advice);
    }
    return true;
  }

  #task(path: Path, met: Met): void {
    const [named, member, last] = path.segments;
    if (!named || named.name === null) return;
    const key = named.name;
    const span = this.#span(path);
    const to = this.#known.byKey.get(key);
    if (to === undefined) {
      if (!named.optional) this.#unknownTask(key, span, `\`${written(path)}\``);
      return;
    }
    if (met.task !== null) {
      this.#edges[met.task]?.push({ to, span });
      this.#known.drafts[met.task]?.references.push(key);
    }
    const task = this.#known.drafts[to]?.task;
    if (!task || !member || member.name === null || member.optional) return;
    if (member.name === "values" || member.name === "artifacts") {
      if (last && last.name !== null && !last.optional)
        this.#produced.check(task, member.name, { name: last.name, span });
    } else {
      this.#memberOf("a task", { name: member.name, members: MEMBERS["tasks"] ?? [], span });
    }
  }

  #init(path: Path, met: Met): void {
    const [name] = path.segments;
    const { definition, hasTriggers, open } = this.#known;
    // Without triggers the definition is embedded in another one, which decides what init there is.
    if (!name?.name || name.optional || !hasTriggers || open || definition.form !== "run" || met.place === "trigger")
      return;
    const names = definition.triggers.initNames;
    if (names.includes(name.name)) return;
    const all = names.length > 0 ? `The triggers give ${sentenceList(names)}.` : "Add it under `on.cli.init`.";
    // A definition that does not speak of the command line takes there what is not a slip.
    const isOpen = definition.triggers.cli === null && slipOf(name.name, names) === null;
    fault(
      this.#reading,
      isOpen ? "doubtful-context" : "unknown-init",
      this.#span(path),
      `No trigger gives the init parameter ${JSON.stringify(printable(name.name))}`,
      didYouMean(name.name, names, all),
    );
  }

  #param(path: Path): void {
    const [name] = path.segments;
    const header = this.#known.definition.package;
    if (!name?.name || name.optional || this.#known.open) return;
    if (!header) {
      if (this.#known.definition.form === "tasks") return;
      fault(
        this.#reading,
        "unknown-context",
        this.#span(path),
        "`params` exists in packages only, and this is none",
        "A run's parameters are `init`; a package starts with `package:`.",
      );
      return;
    }
    const names = header.parameters.map((parameter) => parameter.name);
    if (names.includes(name.name)) return;
    const all = names.length > 0 ? `It declares ${sentenceList(names)}.` : "Declare it under `parameters`.";
    fault(
      this.#reading,
      "unknown-param",
      this.#span(path),
      `The package declares no parameter ${JSON.stringify(printable(name.name))}`,
      didYouMean(name.name, names, all),
    );
  }

  #parallel(path: Path, met: Met): void {
    const task = met.task === null ? undefined : this.#known.drafts[met.task]?.task;
    const [name] = path.segments;
    if (!task || !name?.name || name.optional) return;
    if (!task.parallel) {
      fault(
        this.#reading,
        "unknown-parallel",
        this.#span(path),
        "`parallel` exists in parallel tasks only, and this is none",
        "Give the task the key `parallel`.",
      );
      return;
    }
    const names = parallelNames(task.parallel);
    if (!names || names.includes(name.name)) return;
    fault(
      this.#reading,
      "unknown-parallel",
      this.#span(path),
      `\`parallel\` defines no ${JSON.stringify(printable(name.name))}`,
      didYouMean(name.name, names, `It defines ${sentenceList(names)}.`),
    );
  }

  #member(path: Path): void {
    const [name] = path.segments;
    if (!name?.name || name.optional) return;
    this.#memberOf(`\`${path.root}\``, { name: name.name, members: MEMBERS[path.root] ?? [], span: this.#span(path) });
  }

  /** A slip of a known member is an error; an unknown one may exist all the same. */
  #memberOf(
    what: string,
    of: { readonly name: string; readonly members: readonly string[]; readonly span: Span },
  ): void {
    const { name, members, span } = of;
    if (members.includes(name)) return;
    const rule = slipOf(name, members) === null ? "doubtful-context" : "unknown-member";
    const advice = didYouMean(name, members, `There are ${sentenceList(members)}.`);
    fault(this.#reading, rule, span, `There is no ${JSON.stringify(printable(name))} in ${what}`, advice);
  }

  #call(
    call: { readonly name: string; readonly arguments: readonly unknown[]; readonly at: Position },
    met: Met,
  ): void {
    const names = Object.keys(FUNCTIONS);
    const span = this.#at(call.at, call.name.length);
    const row = Object.hasOwn(FUNCTIONS, call.name) ? FUNCTIONS[call.name] : undefined;
    if (!row) {
      const slip = slipOf(call.name, names);
      if (slip === null) this.#mark("unknown-function", met, call.at);
      const rule = slip === null ? "doubtful-context" : "unknown-function";
      fault(
        this.#reading,
        rule,
        span,
        `There is no function \`${call.name}\``,
        didYouMean(call.name, names, `There are ${sentenceList(names)}.`),
      );
    } else if (call.arguments.length < row.least || call.arguments.length > row.most) {
      fault(
        this.#reading,
        "expression-syntax",
        span,
        `\`${call.name}\` is called with ${call.arguments.length} arguments`,
        `It is \`${row.shape}\`.`,
      );
    }
  }

  #pattern({ source, at }: { readonly source: string; readonly at: Position }, met: Met): void {
    try {
      compilePattern(source);
    } catch (error) {
      if (!(error instanceof PatternFault)) throw error;
      const span = this.#at(at, source.length + 2);
      const message = `Cannot match the pattern ${JSON.stringify(printable(source.slice(0, 80)))}: ${error.message}`;
      if (isRegExp(source)) {
        this.#mark("unsupported-pattern", met, at);
        fault(this.#reading, "unsupported-pattern", span, message);
      } else {
        fault(this.#reading, "expression-syntax", span, message);
      }
    }
  }

  #unknownContext(path: Path, met: Met, contexts: readonly string[]): void {
    // Tokens of integrations stand under names that servers make up: `origin.token`, `github-apps.x.token`.
    if (path.segments.at(-1)?.name === "token" || met.place === "retry" || path.segments[0]?.optional) return;
    const span = this.#span(path);
    if (CONTEXTS.task.includes(path.root)) {
      fault(
        this.#reading,
        "unknown-context",
        span,
        `\`${path.root}\` does not exist in ${WHERE[met.place]}`,
        `Here there are ${sentenceList(contexts)}.`,
      );
      return;
    }
    if (path.root === OLD_ROOT) {
      const message = `\`${OLD_ROOT}\` is the old name of what is known here by others`;
      return fault(this.#reading, "doubtful-context", span, message, "Use `event.git`, `run` or `task`.");
    }
    const tasks = [...this.#known.byKey.keys()];
    const advice =
      this.#known.byKey.has(path.root) && met.place !== "after"
        ? `A task's things are under \`tasks.${path.root}\`.`
        : didYouMean(
            path.root,
            met.place === "after" ? [...contexts, ...tasks] : contexts,
            `Here there are ${sentenceList(contexts)}. Text needs quotes.`,
          );
    fault(this.#reading, "unknown-context", span, `\`${printable(path.root)}\` is not known`, advice);
  }

  #unknownTask(key: string, span: Span, where: string): void {
    if (this.#known.open || this.#reading.broken.has(key) || this.#generated.some((pattern) => pattern.test(key)))
      return;
    // Each suggestion looks at all tasks: among thousands of faults, those after the first ones go without.
    const advice = this.#suggestions-- > 0 ? didYouMean(key, this.#known.byKey.keys(), "") : "";
    fault(
      this.#reading,
      "unknown-task",
      span,
      `There is no task ${JSON.stringify(printable(key))}, which ${where} names`,
      advice,
    );
  }

  #mark(feature: NotExecuted["feature"], met: Met, at: Position): void {
    const list = met.task === null ? this.#known.notExecuted : this.#known.drafts[met.task]?.notExecuted;
    list?.push({ feature, at });
  }

  #span(path: Path): Span {
    return this.#at(path.at, written(path).length);
  }

  #at(at: Position, length: number): Span {
    const start = (this.#reading.source.lineStarts[at.line - 1] ?? 0) + at.column - 1;
    return { start, end: start + length };
  }
}

const WHERE: Readonly<Record<Place, string>> = {
  task: "a task",
  after: "`after`",
  retry: "`retry`",
  trigger: "`on`",
  base: "`base`",
  pool: "`concurrency-pools`",
  "package-output": "a package's outputs",
};

/** Keys that a parallel task may make by its own pattern; null when it makes none that others could name. */
function generatedKeys(task: Task): RegExp | null {
  const key = task.parallel?.key;
  if (!key || typeof key === "string") return null;
  const parts = key.pieces.map((piece) =>
    typeof piece === "string" ? piece.replace(/[^A-Za-z0-9_-]/g, "\\$&") : "[A-Za-z0-9_.-]+",
  );
  return new RegExp(`^${parts.join("")}$`);
}

function written({ root, segments }: Path): string {
  return root + segments.map(({ name, optional }) => `${optional ? "?." : "."}${name ?? "..."}`).join("");
}

function isStateOrSlip(name: string | null): boolean {
  return name !== null && (STATES.includes(name) || slipOf(name, STATES) !== null);
}

function isRegExp(source: string): boolean {
  try {
    new RegExp(source);
    return true;
  } catch {
    return false;
  }
}
