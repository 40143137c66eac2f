// Runs: who drives each, its journal of events, what it pins, and messages to it from other processes. Events are the caller's
// JSON; here they only have an order.

import type { Digest } from "../../base/digest.ts";
import type { Owner } from "../owner.ts";
import type { Index } from "./index-db.ts";
import { currentOwner, isAlive } from "./liveness.ts";
import { packText, unpackText } from "./packed-text.ts";

export interface NewRun {
  readonly id: string;
  readonly title: string;
  /** Where the definition came from, for people and for finding a run's earlier ones. */
  readonly definition: string;
}

export interface RunRecord extends NewRun {
  readonly owner: Owner;
  readonly createdAtMs: number;
  readonly finishedAtMs: number | null;
  /** "interrupted": not finished, and its process is gone. */
  readonly state: "running" | "finished" | "interrupted";
  /** What `finish` was given; null before. */
  readonly summary: unknown;
}

export interface RunEvent {
  /** From 1, without gaps. */
  readonly seq: number;
  readonly event: unknown;
}

interface RunRow {
  readonly id: string;
  readonly title: string;
  readonly definition: string;
  readonly owner: string;
  readonly created_at: number;
  readonly finished_at: number | null;
  readonly summary: string | Uint8Array | null;
}

export class Runs {
  readonly #index: Index;

  constructor(index: Index) {
    this.#index = index;
  }

  /** Records a run that this process drives. */
  create(run: NewRun, nowMs: number): void {
    this.#index.run(
      "INSERT INTO runs (id, title, definition, owner, created_at) VALUES (?, ?, ?, ?, ?)",
      run.id,
      run.title,
      run.definition,
      JSON.stringify(currentOwner()),
      nowMs,
    );
  }

  /** Makes this process the driver of a run whose process is gone. False when another one drives it or it is finished. */
  adopt(id: string): boolean {
    return this.#index.transaction(() => {
      const run = this.get(id);
      if (run?.state !== "interrupted") return false;
      this.#index.run("UPDATE runs SET owner = ? WHERE id = ?", JSON.stringify(currentOwner()), id);
      return true;
    });
  }

  /** Lets go of a run that this process drives and cannot bring to its end: from now on it is interrupted, and may be adopted. */
  release(id: string): void {
    // no process ever started at the first tick of a boot
    const nobody = JSON.stringify({ ...currentOwner(), startTicks: "0" });
    this.#index.run("UPDATE runs SET owner = ? WHERE id = ? AND finished_at IS NULL", nobody, id);
  }

  /** Appends events as one row in one transaction; the number of the last. */
  append(id: string, events: readonly unknown[]): number {
    return this.#index.transaction(() => {
      const row = this.#index.get<{ last: number }>(
        "SELECT last FROM run_events WHERE run = ? ORDER BY seq DESC LIMIT 1",
        id,
      );
      const before = row?.last ?? 0;
      if (events.length === 0) return before;
      const last = before + events.length;
      this.#index.run(
        "INSERT INTO run_events (run, seq, last, body) VALUES (?, ?, ?, ?)",
        id,
        before + 1,
        last,
        JSON.stringify(events),
      );
      return last;
    });
  }

  /** Events after number `afterSeq`, in order. */
  events(id: string, afterSeq = 0): readonly RunEvent[] {
    const rows = this.#index.all<{ seq: number; body: string }>(
      "SELECT seq, body FROM run_events WHERE run = ? AND last > ? ORDER BY seq",
      id,
      afterSeq,
    );
    return rows
      .flatMap((row) => (JSON.parse(row.body) as unknown[]).map((event, at) => ({ seq: row.seq + at, event })))
      .filter((event) => event.seq > afterSeq);
  }

  /** Closes a run; its pins are gone with it. */
  finish(id: string, summary: unknown, nowMs: number): void {
    this.#index.transaction(() => {
      const packed = packText(JSON.stringify(summary));
      this.#index.run("UPDATE runs SET finished_at = ?, summary = ? WHERE id = ?", nowMs, packed, id);
      this.#index.run("DELETE FROM pins WHERE run = ?", id);
      this.#index.run("DELETE FROM run_messages WHERE run = ?", id);
    });
  }

  get(id: string): RunRecord | null {
    const row = this.#index.get<RunRow>("SELECT * FROM runs WHERE id = ?", id);
    return row ? recordOf(row) : null;
  }

  /** Whether a run is known here and over. */
  isFinished(id: string): boolean {
    return this.#index.get("SELECT 1 FROM runs WHERE id = ? AND finished_at IS NOT NULL", id) !== null;
  }

  /** Newest first: ids sort by birth. */
  list(limit = 100): readonly RunRecord[] {
    return this.#index.all<RunRow>("SELECT * FROM runs ORDER BY id DESC LIMIT ?", limit).map(recordOf);
  }

  /** Runs whose id starts with `prefix`, newest first. */
  startingWith(prefix: string, limit: number): readonly RunRecord[] {
    // "~" comes after every character of an id
    return this.#index
      .all<RunRow>("SELECT * FROM runs WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?", prefix, `${prefix}~`, limit)
      .map(recordOf);
  }

  /**
   * Protects content from pruning while the run lives. Answers what is not there. `kind` says which it has to be: the tree of a
   * layer that lies elsewhere is a blob of the layer's digest.
   */
  pin(id: string, digests: readonly Digest[], kind: "layer" | "blob" | "any" = "any"): readonly Digest[] {
    if (digests.length === 0) return [];
    return this.#index.transaction(() => {
      this.#index.run(
        "INSERT OR IGNORE INTO pins (run, digest) SELECT ?, value FROM json_each(?)",
        id,
        JSON.stringify(digests),
      );
      const there = this.#index.all<{ digest: Digest }>(
        `SELECT value AS digest FROM json_each(?) WHERE ${IS_THERE[kind]}`,
        JSON.stringify(digests),
      );
      const known = new Set(there.map((row) => row.digest));
      return digests.filter((digest) => !known.has(digest));
    });
  }

  /** Leaves a message for the process that drives the run ("cancel", ...). False when nobody drives it. */
  send(id: string, message: unknown): boolean {
    return this.#index.transaction(() => {
      if (this.get(id)?.state !== "running") return false;
      this.#index.run("INSERT INTO run_messages (run, body) VALUES (?, ?)", id, JSON.stringify(message));
      return true;
    });
  }

  /** Takes the messages for a run, oldest first. Cheap when there are none: no write. */
  receive(id: string): readonly unknown[] {
    if (this.#index.get("SELECT 1 FROM run_messages WHERE run = ? LIMIT 1", id) === null) return [];
    return this.#index.transaction(() => {
      const rows = this.#index.all<{ body: string }>("SELECT body FROM run_messages WHERE run = ? ORDER BY id", id);
      this.#index.run("DELETE FROM run_messages WHERE run = ?", id);
      return rows.map((row) => JSON.parse(row.body) as unknown);
    });
  }
}

const IS_THERE = {
  layer: "EXISTS (SELECT 1 FROM layers WHERE digest = value)",
  blob: "EXISTS (SELECT 1 FROM blobs WHERE digest = value)",
  any: "(EXISTS (SELECT 1 FROM layers WHERE digest = value) OR EXISTS (SELECT 1 FROM blobs WHERE digest = value))",
} as const;

function recordOf(row: RunRow): RunRecord {
  const owner = JSON.parse(row.owner) as Owner;
  return {
    id: row.id,
    title: row.title,
    definition: row.definition,
    owner,
    createdAtMs: row.created_at,
    finishedAtMs: row.finished_at,
    state: row.finished_at !== null ? "finished" : isAlive(owner) ? "running" : "interrupted",
    summary: row.summary === null ? null : (JSON.parse(unpackText(row.summary)) as unknown),
  };
}
