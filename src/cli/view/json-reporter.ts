// A run as JSON lines for programs: an object for each event, and the run itself as the last line. docs/json.md and
// schema/output.schema.json say what is in them; names there are kept once documented.

import { unreachable } from "../../base/assert.ts";
import type { RunEvent } from "../../sched/run-event.ts";
import type { RunJson } from "../../sched/summary.ts";
import type { Output } from "../output.ts";
import { RunProgress } from "./progress.ts";
import type { RunReporter } from "./reporter.ts";

type Json = Readonly<Record<string, unknown>>;

export class JsonReporter implements RunReporter {
  readonly #out: Output;
  readonly #nowMs: () => number;
  readonly #progress = new RunProgress();
  readonly #decoders = new Map<string, { readonly stdout: TextDecoder; readonly stderr: TextDecoder }>();

  /** `nowMs` is Unix time. */
  constructor(out: Output, nowMs: () => number) {
    this.#out = out;
    this.#nowMs = nowMs;
  }

  event(event: RunEvent): void {
    const settled = this.#progress.apply(event, event.atMs);
    const line = eventJson(event);
    if (line !== null) this.#print({ ...line, at: new Date(event.atMs).toISOString() });
    for (const task of settled) {
      const said = "key" in event && event.key === task.key;
      if (task.state === "skipped" && !said)
        this.#print({ event: "task-skipped", task: task.key, at: new Date(event.atMs).toISOString() });
    }
    if (event.kind === "task-finished") this.#decoders.delete(event.key);
  }

  output(key: string, stream: "stdout" | "stderr", bytes: Uint8Array): void {
    let decoders = this.#decoders.get(key);
    if (!decoders) this.#decoders.set(key, (decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }));
    const text = decoders[stream].decode(bytes, { stream: true });
    if (text !== "") this.#print({ event: "task-output", task: key, stream, text, at: this.#at() });
  }

  notice(level: "warning" | "info", text: string): void {
    this.#print({ event: "notice", level, text, at: this.#at() });
  }

  interrupted(): void {
    // the run says so itself: "run-cancelling"
  }

  finished(summary: RunJson): void {
    this.#print({ ...summary });
  }

  close(): void {
    this.#out.flush();
  }

  #at(): string {
    return new Date(this.#nowMs()).toISOString();
  }

  #print(value: Json): void {
    this.#out.write(`${JSON.stringify(value)}\n`);
  }
}

/** The documented form of an event; null for what is no matter of those outside. */
function eventJson(event: RunEvent): Json | null {
  switch (event.kind) {
    case "run-started": {
      const { id, title, definition, init, targets, coordinator } = event.run;
      return {
        event: "run-started",
        run: id,
        title,
        definition,
        init,
        targets,
        coordinator,
        tasks: event.tasks.map((task) => task.key),
      };
    }
    case "tasks-added":
      return { event: "tasks-added", by: event.by, tasks: event.tasks.map((task) => task.key) };
    case "task-resolved":
      return resolvedJson(event);
    case "task-refused":
      return {
        event: "task-refused",
        task: event.key,
        code: event.refusal.code,
        message: event.refusal.message,
        line: event.refusal.line,
      };
    case "task-deferred":
      return { event: "task-waiting", task: event.key, elsewhere: event.elsewhere };
    case "task-placed":
      return { event: "task-placed", task: event.key, attempt: event.attempt, node: event.node };
    case "task-started":
      return { event: "task-started", task: event.key, attempt: event.attempt };
    case "task-finished": {
      const { result, exitCode, signal, reason, durationMs, message } = event.outcome;
      return {
        event: "task-finished",
        task: event.key,
        attempt: event.attempt,
        result,
        exitCode,
        signal,
        reason,
        durationMs,
        message,
      };
    }
    case "task-lost":
      return { event: "task-lost", task: event.key, attempt: event.attempt, reason: event.reason };
    case "output-lost":
      return { event: "output-lost", task: event.key, reason: event.reason };
    case "cancel-requested":
      return { event: "run-cancelling", by: event.by };
    case "task-undeferred":
    case "task-returned":
      return null;
    default:
      return unreachable(event);
  }
}

function resolvedJson({ key, outcome }: RunEvent & { kind: "task-resolved" }): Json {
  switch (outcome.kind) {
    case "hit":
      return { event: "task-hit", task: key, cacheKey: outcome.cacheKey, cacheHitFrom: outcome.hitFrom };
    case "miss":
      return { event: "task-ready", task: key, cacheKey: outcome.cacheKey };
    case "skip":
      return { event: "task-skipped", task: key };
    default:
      return unreachable(outcome);
  }
}
