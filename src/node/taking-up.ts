// Takes a run up where its driver stopped: the run machine from its journal, what tasks gave to others from what was kept, and
// attempts that went on at other machines from these. What ended with the old driver runs again; nothing else does.

import type { Digest } from "../base/digest.ts";
import { MeshError } from "../base/errors.ts";
import { checkedEvent } from "../sched/journal.ts";
import type { AttemptRef, Effect, RunEvent } from "../sched/run-event.ts";
import type { RunMachine } from "../sched/run-machine.ts";
import type { TaskView } from "../sched/task-state.ts";
import type { Task } from "../spec/definition.ts";
import type { Results } from "../store/io/results.ts";
import type { Handover } from "./handover.ts";
import type { PeerSite } from "./remote/peer-site.ts";
import type { RunMesh } from "./remote/run-mesh.ts";
import { resolveTask, usedBy } from "./resolve.ts";
import type { ResolveContext } from "./resolve-context.ts";
import type { RunJournal } from "./run-journal.ts";
import type { JournalEntry, KeptOutput } from "./run-record.ts";
import type { TaskWork } from "./work.ts";

export interface TakingUpOptions {
  readonly machine: RunMachine;
  readonly tasks: ReadonlyMap<string, Task>;
  readonly results: Results;
  readonly handover: Handover;
  readonly journal: RunJournal;
  readonly context: ResolveContext;
  /** Name of this machine. */
  readonly name: string;
  /** Takes an event that is new. */
  readonly apply: (event: RunEvent) => void;
  readonly setWork: (key: string, work: TaskWork) => void;
}

export class TakingUp {
  readonly #options: TakingUpOptions;
  /** Tasks that had succeeded and whose results are gone. */
  readonly #gone = new Set<string>();

  constructor(options: TakingUpOptions) {
    this.#options = options;
  }

  /** Brings the machine to where it was; `each` sees every event, and what the machine wanted done because of it. */
  replay(entries: readonly JournalEntry[], each: (event: RunEvent, effects: readonly Effect[]) => void): void {
    const kept = new Map<string, KeptOutput>();
    for (const entry of entries) {
      if (entry.kind === "output") kept.set(entry.task, entry);
      if (entry.kind !== "event") continue;
      const event = checkedEvent(entry.event);
      const succeeded = this.#endsWell(event);
      each(event, this.#options.machine.step(event));
      if (succeeded !== null) this.#recall(succeeded.key, succeeded.cacheKey, kept);
      else if (event.kind === "task-finished") this.#recallFailure(event.key, kept);
    }
  }

  /** Says of everything that was under way what has become of it. */
  async settle(mesh: RunMesh | null): Promise<void> {
    const { machine, name, apply } = this.#options;
    const atMs = Date.now();
    for (const key of this.#gone)
      apply({ kind: "output-lost", key, reason: "What it left is not kept any more", atMs });
    const held = machine.tasks.filter(isHeld).map(refOf);
    for (const ref of held)
      if (ref.node === name || mesh === null) this.#lose(ref, "The process that drove the run ended");
    if (mesh !== null)
      await this.#adopt(
        mesh,
        held.filter(({ node }) => node !== name),
      );
    // what a ready task comes down to is not in the journal
    for (const { key, round, phase } of machine.tasks) {
      if (phase !== "ready" && phase !== "deferred") continue;
      if (phase === "ready") apply({ kind: "task-deferred", key, round, elsewhere: "", atMs: Date.now() });
      apply({ kind: "task-undeferred", key, round, atMs: Date.now() });
    }
  }

  // What tasks have left

  /** The task that an event ends well, and the key that a hit was found under. */
  #endsWell(event: RunEvent): { readonly key: string; readonly cacheKey: Digest | null } | null {
    const { machine } = this.#options;
    if (event.kind === "task-finished")
      return event.outcome.result === "succeeded" && machine.holds(event) ? { key: event.key, cacheKey: null } : null;
    if (event.kind !== "task-resolved" || event.outcome.kind !== "hit") return null;
    const task = machine.task(event.key);
    if (task?.phase !== "resolving" || task.round !== event.round) return null;
    return { key: event.key, cacheKey: event.outcome.cacheKey as Digest };
  }

  #recall(key: string, cacheKey: Digest | null, outputs: ReadonlyMap<string, KeptOutput>): void {
    const { tasks, handover, journal, context, results } = this.#options;
    const task = tasks.get(key);
    const own = outputs.get(key);
    const stored = own === undefined && cacheKey !== null ? results.get(cacheKey, Date.now())?.result : undefined;
    const kept = own ?? (stored === undefined ? undefined : { task: key, result: stored, exports: null });
    if (task === undefined || task.kind === "embedded-run" || task.kind === "app" || kept === undefined) {
      this.#gone.add(key);
      return;
    }
    this.#gone.delete(key);
    journal.recall(kept, cacheKey === null ? "executed" : own === undefined ? "hit" : "found");
    handover.restore({ key, used: usedBy(task, context), envConfig: task.envConfig }, kept.result, kept.exports);
  }

  /** A failed task has left outputs and a log all the same. */
  #recallFailure(key: string, outputs: ReadonlyMap<string, KeptOutput>): void {
    const kept = outputs.get(key);
    if (kept !== undefined) this.#options.journal.recall(kept, "executed");
  }

  // What was under way

  #lose({ key, attempt, lease }: AttemptRef, reason: string): void {
    this.#options.apply({ kind: "task-lost", key, attempt, lease, reason, atMs: Date.now() });
  }

  async #adopt(mesh: RunMesh, held: readonly (AttemptRef & { readonly node: string })[]): Promise<void> {
    const known = Map.groupBy(held, ({ node }) => node);
    const leases = new Map([...known].map(([node, refs]) => [node, refs.map(({ lease }) => lease)]));
    const found = await mesh.adopt(leases);
    for (const site of mesh.sites()) {
      const holdings = found.get(site.node);
      for (const ref of holdings?.held ?? []) await this.#adoptOne(site, ref);
      // a machine names all that it has of the run
      const there = new Set(holdings?.held.map(({ lease }) => lease));
      const reason =
        holdings === undefined ? `${site.node} cannot be reached` : `${site.node} knows nothing of it any more`;
      for (const ref of known.get(site.node) ?? []) if (!there.has(ref.lease)) this.#lose(ref, reason);
      site.adopted();
    }
    for (const ref of held)
      if (this.#options.machine.holds(ref) && !mesh.sites().some(({ node }) => node === ref.node))
        this.#lose(ref, `${ref.node} is no member of the mesh any more`);
  }

  async #adoptOne(site: PeerSite, { key, attempt, lease }: AttemptRef): Promise<void> {
    const { machine, apply, setWork } = this.#options;
    const ref = { key, attempt, lease };
    const task = machine.task(key);
    const isHolding = machine.holds(ref);
    // the grant may have come when nothing could be written any more
    const isUnwritten = !isHolding && task?.phase === "ready" && task.attempt === attempt;
    const work = isHolding || isUnwritten ? await this.#workOf(key, attempt) : null;
    if (work === null || work.key !== task?.cacheKey) {
      site.giveBack([lease]);
      if (isHolding) this.#lose(ref, "What it comes down to has changed");
      return;
    }
    setWork(key, work);
    if (isUnwritten) apply({ kind: "task-placed", ...ref, node: site.node, atMs: Date.now() });
    else site.start(ref, work);
  }

  /** Null when the task cannot be resolved any more. */
  async #workOf(key: string, attempt: number): Promise<TaskWork | null> {
    const task = this.#options.tasks.get(key);
    if (task === undefined) return null;
    try {
      const resolution = await resolveTask(task, attempt, this.#options.context);
      return resolution.kind === "work" ? resolution.work : null;
    } catch (error) {
      if (error instanceof MeshError) return null;
      throw error;
    }
  }
}

function isHeld({ phase }: TaskView): boolean {
  return phase === "placed" || phase === "running";
}

function refOf({ key, attempt, lease, node }: TaskView): AttemptRef & { readonly node: string } {
  return { key, attempt, lease: lease ?? "", node: node ?? "" };
}
