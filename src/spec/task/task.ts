// One task of a definition: which kind it is, the keys that kind has, and its checked form. What it says about other tasks
// (links, expressions) is kept for references.ts, which knows them all.

import { nearest, printable } from "../../base/text.ts";
import type {
  After,
  Agent,
  AppTask,
  CommandTask,
  EmbeddedRunTask,
  EnvConfig,
  EnvEntry,
  NotExecuted,
  PackageTask,
  Task,
  TaskCommon,
  Template,
} from "../definition.ts";
import type { Expression } from "../expression/syntax.ts";
import { BUILT_IN_PACKAGES, type PackageSignature, parameterList, parseCall } from "../packages.ts";
import {
  define,
  entriesOf,
  fault,
  headOf,
  isEmptyEntry,
  isNull,
  missing,
  placeOf,
  readBoolean,
  readExpression,
  readFields,
  type Reading,
  readInteger,
  readTemplate,
  readTemplates,
  startsWithExpression,
  within,
} from "../reading.ts";
import type { Span } from "../source.ts";
import type { Entry, MapNode, Node } from "../yaml.ts";
import { agentEntry, readAgent } from "./agent.ts";
import { readBackgroundProcesses } from "./background.ts";
import { checkHealthTimeout, readCache, readRetry, readTimeout } from "./cache.ts";
import { readEnv, readEnvConfig } from "./env.ts";
import { readFilter } from "./filter.ts";
import { type Link, readKey, readTaskKeys } from "./keys.ts";
import { readOutputs } from "./outputs.ts";
import { readParallel } from "./parallel.ts";
import { readScript } from "./script.ts";

/** A task with what is still to be checked about it. */
export interface Draft {
  readonly task: Task;
  /** Where the key stands. */
  readonly keySpan: Span;
  readonly links: readonly Link[];
  /** The same list as the task's `references`: filled once all tasks are known. */
  readonly references: string[];
  /** The same list as the task's `after.tasks`: for the condition form, the tasks that it names are added. */
  readonly afterTasks: string[];
  readonly notExecuted: NotExecuted[];
}

export interface TaskOptions {
  readonly agent: Agent;
  readonly packages: ReadonlyMap<string, PackageSignature>;
}

const KEYS = {
  command: (
    "after agent auto-cancel background-processes bootstrapping cache docker env env-config filter health-timeout if key outputs " +
    "parallel retry run runner terminate-grace-period-seconds timeout timeout-minutes tool-cache use"
  ).split(" "),
  package: "after auto-cancel cache call env env-config filter if key parallel use with".split(" "),
  "embedded-run": "after auto-cancel cache call if inherit-init init key parallel target".split(" "),
  app: "after agent app background-processes docker env env-config filter if key run runner use".split(" "),
} as const;

type Kind = keyof typeof KEYS;

/** Reads one task. Null when it has no kind or no key; the faults are in the report. */
export function readTask(reading: Reading, node: Node, options: TaskOptions): Draft | null {
  if (node.kind !== "map") {
    fault(reading, "wrong-type", node, "Expected a task: a map with `key` and `run` or `call`");
    return null;
  }
  const kind = kindOf(reading, node);
  if (!kind) return null;
  const reader = new TaskReader(reading, node, kind);
  return reader.read(options);
}

function kindOf(reading: Reading, node: MapNode): Kind | null {
  const has = (key: string): boolean => node.entries.some((entry) => entry.key === key);
  if (has("app")) return "app";
  if (has("run")) return "command";
  if (has("call")) return has("init") || has("inherit-init") || has("target") ? "embedded-run" : "package";
  const misspelt = node.entries.find(
    (entry) => !KEYS.command.includes(entry.key) && nearest(entry.key, ["run", "call"]) !== null,
  );
  if (misspelt) {
    const advice = `Did you mean ${JSON.stringify(nearest(misspelt.key, ["run", "call"]))}?`;
    fault(
      reading,
      "unknown-key",
      misspelt.keySpan,
      `Unknown key ${JSON.stringify(printable(misspelt.key))} in a task`,
      advice,
    );
  } else {
    fault(
      reading,
      "missing-key",
      headOf(node),
      'A task must have the key "run" or "call"',
      "`run` is a script; `call` names a package or another definition.",
    );
  }
  return null;
}

class TaskReader {
  readonly #reading: Reading;
  readonly #node: MapNode;
  readonly #kind: Kind;
  readonly #fields: ReadonlyMap<string, Entry>;
  readonly #links: Link[] = [];
  readonly #references: string[] = [];
  readonly #afterTasks: string[] = [];
  readonly #notExecuted: NotExecuted[] = [];

  constructor(reading: Reading, node: MapNode, kind: Kind) {
    this.#reading = reading;
    this.#node = node;
    this.#kind = kind;
    this.#fields = readFields(reading, node, KEYS[kind], WHAT[kind]);
  }

  read(options: TaskOptions): Draft | null {
    const common = this.#common();
    const task = common && this.#task(common.common, options);
    if (!task || !common) return null;
    const { keySpan } = common;
    return {
      task,
      keySpan,
      links: this.#links,
      references: this.#references,
      afterTasks: this.#afterTasks,
      notExecuted: this.#notExecuted,
    };
  }

  #task(common: TaskCommon, options: TaskOptions): Task | null {
    switch (this.#kind) {
      case "command":
        return this.#command(common, options);
      case "package":
        return this.#package(common, options);
      case "embedded-run":
        return this.#embeddedRun(common);
      case "app":
        return this.#app(common, options);
    }
  }

  #common(): { readonly common: TaskCommon; readonly keySpan: Span } | null {
    const reading = this.#reading;
    const keyEntry = this.#fields.get("key");
    if (!keyEntry) missing(reading, this.#node, "key", "A task");
    const key = keyEntry ? readKey(reading, keyEntry.value, "a task's key") : null;
    const condition = this.#entry("if");
    const autoCancel = this.#entry("auto-cancel");
    const parallel = readParallel(reading, this.#fields.get("parallel"));
    if (parallel) this.#mark("parallel", "parallel");
    const common = {
      key: key ?? "",
      at: placeOf(reading, keyEntry?.value ?? this.#node),
      after: this.#after(),
      if: condition ? readExpression(reading, condition.value, "`if`") : null,
      parallel,
      autoCancel: autoCancel ? readTemplate(reading, autoCancel.value, "`auto-cancel`") : null,
      references: this.#references,
      notExecuted: this.#notExecuted,
    };
    return key === null || !keyEntry ? null : { common, keySpan: keyEntry.value };
  }

  #command(common: TaskCommon, { agent: defaults }: TaskOptions): CommandTask | null {
    const reading = this.#reading;
    const fields = this.#fields;
    const run = fields.get("run");
    const script = run ? readScript(reading, run.value, "`run`") : null;
    const agent = agentEntry(reading, fields);
    const grace = this.#entry("terminate-grace-period-seconds");
    const toolCache = this.#entry("tool-cache");
    const background = readBackgroundProcesses(reading, fields.get("background-processes"));
    if (background.length > 0) this.#mark("background-processes", "background-processes");
    if (toolCache) this.#mark("tool-cache", "tool-cache");
    const retry = readRetry(reading, fields.get("retry"));
    if (retry && retry.count !== "0") this.#mark("retry", "retry");
    checkHealthTimeout(reading, fields.get("health-timeout"));
    const cached = toolCache ? readTemplate(reading, toolCache.value, "`tool-cache`") : null;
    const command: Omit<CommandTask, "run"> = {
      ...common,
      kind: "command",
      use: this.#use(),
      agent:
        agent && !isEmptyEntry(reading, agent)
          ? readAgent(reading, agent.value, defaults, this.#notExecuted)
          : defaults,
      ...this.#environment(),
      filter: readFilter(reading, this.#entry("filter"), "command"),
      cache: readCache(reading, fields.get("cache"), { ttl: true }),
      outputs: readOutputs(reading, fields.get("outputs")),
      timeout: readTimeout(reading, fields.get("timeout"), fields.get("timeout-minutes")),
      terminateGraceSeconds:
        (grace && readInteger(reading, grace.value, "`terminate-grace-period-seconds`", { least: 0, most: 86_400 })) ??
        0,
      toolCache: typeof cached === "string" ? cached : cached === null ? null : "",
      retry,
      docker: this.#docker(),
      backgroundProcesses: background,
    };
    return script === null ? null : { ...command, run: script };
  }

  #package(common: TaskCommon, { packages }: TaskOptions): PackageTask | null {
    const reading = this.#reading;
    const call = this.#fields.get("call");
    const given = this.#entry("with");
    const parameters: Record<string, { readonly value: Template; readonly at: PackageTask["at"] }> = {};
    for (const { key, keySpan, value } of given ? entriesOf(reading, given.value, "`with`") : []) {
      const template = isNull(value) ? "" : readTemplate(reading, value, `the parameter ${key}`);
      if (template !== null) define(parameters, key, { value: template, at: placeOf(reading, keySpan) });
    }
    const task = {
      ...common,
      kind: "package",
      with: parameters,
      use: this.#use(),
      ...this.#environment(),
      filter: readFilter(reading, this.#entry("filter"), "package"),
      cache: readCache(reading, this.#fields.get("cache"), { ttl: false }),
    } as const;
    const template = call ? readTemplate(reading, call.value, "`call`") : null;
    if (template === null || !call) return null;
    if (typeof template !== "string") {
      this.#mark(isRunDirPath(template) ? "local-package" : "dynamic-call", "call");
      return { ...task, call: template, name: null, version: null };
    }
    return this.#namedPackage({ task, call, template, given, packages });
  }

  #namedPackage(of: {
    readonly task: Omit<PackageTask, "call" | "name" | "version">;
    readonly call: Entry;
    readonly template: string;
    readonly given: Entry | undefined;
    readonly packages: ReadonlyMap<string, PackageSignature>;
  }): PackageTask | null {
    const parsed = parseCall(of.template, of.packages);
    switch (parsed.kind) {
      case "invalid":
        fault(this.#reading, "package-name", of.call.value, parsed.message, parsed.advice);
        return null;
      case "digest":
        this.#mark("package", "call");
        return { ...of.task, call: of.template, name: null, version: null };
      case "named": {
        const signature = of.packages.get(parsed.name);
        if (signature) this.#checkParameters(parsed.name, signature, { call: of.call, given: of.given });
        if (!BUILT_IN_PACKAGES.has(parsed.name)) this.#mark("package", "call");
        return { ...of.task, call: of.template, name: parsed.name, version: parsed.version };
      }
    }
  }

  #checkParameters(
    name: string,
    signature: PackageSignature,
    at: { readonly call: Entry; readonly given: Entry | undefined },
  ): void {
    const given = at.given?.value.kind === "map" ? at.given.value.entries : [];
    const takes = `${name} takes ${parameterList(signature)}.`;
    for (const { key, keySpan, value } of given) {
      const parameter = Object.hasOwn(signature.parameters, key) ? signature.parameters[key] : undefined;
      const message = `${name} takes no parameter ${JSON.stringify(printable(key))}`;
      if (!parameter) {
        const meant = nearest(key, Object.keys(signature.parameters));
        const doubtful = signature.open && meant === null;
        fault(
          this.#reading,
          doubtful ? "doubtful-parameter" : "package-parameter",
          keySpan,
          message,
          meant === null ? takes : `Did you mean ${JSON.stringify(meant)}? ${takes}`,
        );
      } else if (
        parameter.kind === "boolean" &&
        value.kind === "scalar" &&
        !startsWithExpression(value) &&
        !isNull(value)
      ) {
        readBoolean(this.#reading, value, `the parameter ${key}`);
      }
    }
    for (const [key, { required }] of Object.entries(signature.parameters)) {
      if (!required || given.some((entry) => entry.key === key)) continue;
      fault(
        this.#reading,
        "package-parameter",
        at.given?.keySpan ?? at.call.value,
        `${name} needs the parameter ${JSON.stringify(key)}`,
        takes,
      );
    }
  }

  #embeddedRun(common: TaskCommon): EmbeddedRunTask | null {
    const reading = this.#reading;
    const [call, init, inherit] = [this.#fields.get("call"), this.#entry("init"), this.#entry("inherit-init")];
    this.#mark("embedded-run", "call");
    const target = this.#entry("target");
    const inheritInit = inherit ? readBoolean(reading, inherit.value, "`inherit-init`") : null;
    const inherits = init?.value.kind === "scalar" && init.value.value === "inherit";
    if (inherits && inheritInit === false && inherit) {
      fault(
        reading,
        "mutually-exclusive",
        inherit.keySpan,
        '"init: inherit" and "inherit-init: false" exclude one another',
      );
    }
    const template = call ? readTemplate(reading, call.value, "`call`") : null;
    if (typeof template === "string" && call) {
      const path = template.trim().replace(/^\.?\//, "");
      const advice = /\.ya?ml$/i.test(path)
        ? `Write \`\${{ run.dir }}/${path}\`.`
        : "Write `${{ run.dir }}/other.yml`, or an artifact's expression.";
      fault(
        reading,
        "package-name",
        call.value,
        `${JSON.stringify(template.slice(0, 100))} names no definition to embed`,
        advice,
      );
    }
    const embedded = {
      ...common,
      kind: "embedded-run",
      init: init && !inherits ? readTemplates(reading, init.value, "`init`") : {},
      inheritInit: inheritInit ?? inherits,
      // Targets lie in the definition that is called, not in this one.
      targets: target ? readTaskKeys(reading, target.value, "target").map((link) => link.key) : [],
      cache: readCache(reading, this.#fields.get("cache"), { ttl: false }),
    } as const;
    return template === null ? null : { ...embedded, call: template };
  }

  #app(common: TaskCommon, { agent: defaults }: TaskOptions): AppTask | null {
    const reading = this.#reading;
    this.#mark("app-task", "app");
    const [run, app, agent] = [this.#fields.get("run"), this.#fields.get("app"), agentEntry(reading, this.#fields)];
    if (!run) missing(reading, this.#node, "run", "An app task");
    const script = run ? readScript(reading, run.value, "`run`") : null;
    if (agent && !isEmptyEntry(reading, agent)) readAgent(reading, agent.value, defaults, this.#notExecuted);
    this.#environment();
    readFilter(reading, this.#entry("filter"), "command");
    readBackgroundProcesses(reading, this.#fields.get("background-processes"));
    this.#docker();
    const fields = app
      ? readFields(reading, app.value, ["endpoint", "idle-timeout", "port", "start-timeout", "timeout"], "`app`")
      : null;
    const [endpoint, port] = [fields?.get("endpoint"), fields?.get("port")];
    if (app && !endpoint) missing(reading, app.value, "endpoint", "`app`");
    if (app && !port) missing(reading, app.value, "port", "`app`");
    for (const name of ["idle-timeout", "start-timeout", "timeout"]) {
      const timeout = fields?.get(name);
      if (timeout) readTimeout(reading, timeout, undefined);
    }
    const name = endpoint ? readTemplate(reading, endpoint.value, "`endpoint`") : null;
    if (typeof name === "string" && endpoint && !/^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/.test(name)) {
      fault(
        reading,
        "invalid-value",
        endpoint.value,
        `${JSON.stringify(name)} cannot be an endpoint`,
        "Use letters, digits, and hyphens inside.",
      );
    }
    const number = port
      ? startsWithExpression(port.value)
        ? readTemplate(reading, port.value, "`port`")
        : this.#port(port)
      : null;
    const use = this.#use();
    return script === null || name === null || number === null
      ? null
      : { ...common, kind: "app", run: script, use, endpoint: name, port: number };
  }

  #port(entry: Entry): string | null {
    const port = readInteger(this.#reading, entry.value, "`port`", { least: 1024, most: 49_151 });
    return port === null ? null : String(port);
  }

  #use(): readonly string[] {
    const entry = this.#entry("use");
    if (!entry) return [];
    const links = readTaskKeys(this.#reading, entry.value, "use");
    this.#links.push(...links);
    return [...new Set(links.map((link) => link.key))];
  }

  #after(): After {
    const entry = this.#entry("after");
    const tasks = this.#afterTasks;
    if (!entry) return { tasks, condition: null };
    if (startsWithExpression(entry.value)) {
      const condition = within(this.#reading, "after", () => readExpression(this.#reading, entry.value, "`after`"));
      return { tasks, condition };
    }
    const links = readTaskKeys(this.#reading, entry.value, "after");
    this.#links.push(...links);
    tasks.push(...new Set(links.map((link) => link.key)));
    return { tasks, condition: null };
  }

  #environment(): { readonly env: readonly EnvEntry[]; readonly envConfig: EnvConfig } {
    return {
      env: readEnv(this.#reading, this.#entry("env")),
      envConfig: readEnvConfig(this.#reading, this.#entry("env-config"), this.#links),
    };
  }

  #docker(): boolean | "preserve-data" | Expression {
    const entry = this.#entry("docker");
    if (!entry) return false;
    const { value } = entry;
    const preserve = value.kind === "scalar" && value.value === "preserve-data";
    const expression = startsWithExpression(value) ? readExpression(this.#reading, value, "`docker`") : null;
    const docker = preserve
      ? "preserve-data"
      : (expression ?? readBoolean(this.#reading, value, '`docker` (or "preserve-data")') ?? false);
    if (docker !== false) this.#mark("docker", "docker");
    return docker;
  }

  /** The entry of a key that has a value. */
  #entry(key: string): Entry | undefined {
    const entry = this.#fields.get(key);
    return entry && !isEmptyEntry(this.#reading, entry) ? entry : undefined;
  }

  #mark(feature: NotExecuted["feature"], key: string): void {
    const at = placeOf(this.#reading, this.#fields.get(key)?.keySpan ?? this.#node);
    this.#notExecuted.push({ feature, at });
  }
}

const WHAT: Readonly<Record<Kind, string>> = {
  command: "a command task (one with `run`)",
  package: "a package task (one with `call`)",
  "embedded-run": "an embedded run (a `call` with `init` or `target`)",
  app: "an app task (one with `app`)",
};

/** True for `${{ run.dir }}/...`: a file beside this definition. */
function isRunDirPath(template: Exclude<Template, string>): boolean {
  const [first] = template.pieces;
  return typeof first === "object" && first.kind === "member" && first.of.kind === "name" && first.of.name === "run";
}
