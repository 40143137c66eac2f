// What performs a lease book's effects on a simulated machine: attempts that fetch their inputs, take their time, and end.

import { CapacityLedger } from "../src/sched/ledger.ts";
import { LeaseBook } from "../src/sched/lease-book.ts";
import type { LeaseEffect, LeaseEvent } from "../src/sched/lease-event.ts";
import type { Host } from "./host.ts";
import type { AttemptResult, Message, Work } from "./message.ts";

type Asked = Extract<Message, { readonly kind: "offer" | "start" | "cancel" | "acknowledge" | "renew" | "adopt" }>;

interface Attempt {
  readonly run: string;
  readonly work: Work;
  /** Set once somebody wants it to stop. */
  isStopping: boolean;
  /** Calls off the fetch of its inputs. */
  leave: () => void;
}

export class SimWorker {
  readonly ledger: CapacityLedger;
  readonly book: LeaseBook<AttemptResult>;
  readonly #host: Host;
  readonly #works = new Map<string, Work>();
  readonly #running = new Map<string, Attempt>();

  constructor(host: Host) {
    this.#host = host;
    this.ledger = new CapacityLedger(host.totals);
    this.book = new LeaseBook(this.ledger, `${host.name}-${host.life}`);
  }

  hear(from: Host, message: Asked): void {
    if (message.kind !== "offer") return this.tell({ ...message, from: from.id });
    const { work, ...offer } = message;
    this.tell({ ...offer, from: from.id }, work);
  }

  /** `work` comes with an offer. */
  tell(event: LeaseEvent<AttemptResult>, work: Work | null = null): void {
    for (const effect of this.book.step(event, this.#host.monotonicMs)) this.#perform(effect, work);
  }

  #perform(effect: LeaseEffect<AttemptResult>, work: Work | null): void {
    switch (effect.kind) {
      case "perform":
        return this.#begin(effect);
      case "stop":
        return this.#stop(effect.lease, effect.graceful);
      case "forget":
        this.#works.delete(effect.lease);
        return;
      case "granted":
        if (work !== null && !this.#works.has(effect.lease)) this.#works.set(effect.lease, work);
        break;
      default:
    }
    this.#host.sendTo(effect.to, { kind: "lease", said: effect });
  }

  #begin({ lease, run, key, attempt: number }: LeaseEffect<AttemptResult> & { readonly kind: "perform" }): void {
    const work = this.#works.get(lease);
    if (work === undefined) throw new Error(`Bug: no work for ${lease}`);
    const attempt: Attempt = { run, work, isStopping: false, leave: () => undefined };
    this.#running.set(lease, attempt);
    const { rules, world } = this.#host.around;
    world.note(() => `${this.#host.name} performs ${run}.${key}#${number}, key ${work.cacheKey}`);
    rules.began(this.#host, { lease, run, key, cacheKey: work.shared ? work.cacheKey : null });
    if (work.shared) this.#host.tellClaims({ kind: "hold", key: work.cacheKey, run });
    const { exchange } = this.#host;
    if (exchange === null) throw new Error("Bug: no process performs this");
    attempt.leave = exchange.fetch(work.inputs, (fetched) => {
      if (!this.#running.has(lease) || attempt.isStopping) return;
      if (fetched.kind === "here") this.#work(lease, attempt);
      else if (fetched.kind === "full") this.#end(lease, { kind: "disk-full" });
      else this.#end(lease, { kind: "inputs-missing", tasks: fetched.tasks });
    });
  }

  #work(lease: string, { work }: Attempt): void {
    const host = this.#host;
    const startedAtMs = host.monotonicMs;
    const durationMs = ((work.workMs * 100) / host.speedPercent) * host.disk.slowness;
    host.after(durationMs, () => {
      if (!this.#running.has(lease)) return;
      if (work.fails) return this.#end(lease, { kind: "failed" });
      if (host.disk.isFull) return this.#end(lease, { kind: "disk-full" });
      const digest = `out(${work.cacheKey})`;
      host.disk.keepWhole(digest);
      if (work.shared)
        host.disk.results.set(work.cacheKey, {
          digest,
          bytes: work.outputBytes,
          run: this.#running.get(lease)?.run ?? "",
        });
      this.#end(lease, {
        kind: "succeeded",
        digest,
        bytes: work.outputBytes,
        durationMs: Math.round(host.monotonicMs - startedAtMs),
      });
    });
    this.tell({ kind: "began", lease });
  }

  #stop(lease: string, graceful: boolean): void {
    const attempt = this.#running.get(lease);
    if (attempt === undefined) return;
    attempt.isStopping = true;
    attempt.leave();
    const { random } = this.#host.around.world;
    this.#host.after(graceful ? random.below(500) : 1, () => this.#end(lease, { kind: "cancelled" }));
  }

  #end(lease: string, result: AttemptResult): void {
    const attempt = this.#running.get(lease);
    if (attempt === undefined) return;
    this.#running.delete(lease);
    this.#host.around.rules.ended(lease);
    const { work, run } = attempt;
    const isShared = [...this.#running.values()].some(
      (other) => other.run === run && other.work.shared && other.work.cacheKey === work.cacheKey,
    );
    if (work.shared && !isShared) this.#host.tellClaims({ kind: "let-go", key: work.cacheKey, run });
    this.tell({ kind: "ended", lease, result });
  }
}
