// Results by cache key. A lookup is one primary key read; the body is decoded when somebody looks. Nothing is written for a hit:
// `touch` records uses in one statement at the end. Each row carries a checksum, so that a damaged one is no result.

import type { Digest } from "../../base/digest.ts";
import { needsOf, type TaskResult, type KeyParts } from "../result.ts";
import type { Blobs } from "./blobs.ts";
import type { Index } from "./index-db.ts";
import type { Layers } from "./layers.ts";

interface ResultRow {
  readonly key: string;
  readonly body: string;
  readonly sum: number;
  readonly needs: string;
  readonly expires_at: number | null;
  readonly created_at: number;
}

/** A result as it was found, decoded on first use. */
export class StoredResult {
  readonly key: Digest;
  /** Unix time at which it was stored; for showing only. */
  readonly storedAtMs: number;
  readonly expiresAtMs: number | null;
  readonly #body: string;
  readonly #partsOf: () => KeyParts;
  #result: TaskResult | null = null;

  constructor(row: ResultRow, partsOf: () => KeyParts) {
    this.key = row.key as Digest;
    this.storedAtMs = row.created_at;
    this.expiresAtMs = row.expires_at;
    this.#body = row.body;
    this.#partsOf = partsOf;
  }

  get result(): TaskResult {
    this.#result ??= JSON.parse(this.#body) as TaskResult;
    return this.#result;
  }

  /** What the key was made of. */
  get parts(): KeyParts {
    return this.#partsOf();
  }
}

/** One line of a listing. */
export interface ResultSummary {
  readonly key: Digest;
  readonly identity: string;
  readonly run: string;
  readonly storedAtMs: number;
  readonly usedAtMs: number;
  readonly expiresAtMs: number | null;
}

const COLUMNS = "key, body, sum, needs, expires_at, created_at";

export class Results {
  readonly #index: Index;
  readonly #layers: Layers;
  readonly #blobs: Blobs;

  constructor(index: Index, layers: Layers, blobs: Blobs) {
    this.#index = index;
    this.#layers = layers;
    this.#blobs = blobs;
  }

  /**
   * The result of a key, or null: also when it has expired, is damaged, or something it needs is missing (and then it is
   * dropped). `maxAgeMs` is the reader's own bound, beside that of who stored it. Layers from an earlier boot are another matter: ask `untrusted`.
   */
  get(key: Digest, nowMs: number, maxAgeMs: number | null = null): StoredResult | null {
    const row = this.#index.get<ResultRow>(`SELECT ${COLUMNS} FROM results WHERE key = ?`, key);
    if (!row || !isFresh(row, nowMs) || (maxAgeMs !== null && nowMs - row.created_at >= maxAgeMs)) return null;
    if (!this.#isSound(row)) return this.#dropDamaged(key, "its row is damaged");
    if (row.needs !== "" && !this.#hasAll(row.needs)) return this.#dropDamaged(key, "content it needs is missing");
    return this.#stored(row);
  }

  /** Keeps a result under its key; an earlier one is replaced. One that has expired already is kept for comparison alone. */
  put(result: TaskResult, parts: KeyParts, expiresAtMs: number | null): void {
    const body = JSON.stringify(result);
    const { layers, blobs } = needsOf(result);
    const needs = [...layers.map((digest) => `l${digest}`), ...blobs.map((digest) => `b${digest}`)].join(" ");
    const nowMs = Date.now();
    this.#index.transaction(() => {
      this.#index.run(
        `INSERT OR REPLACE INTO results (key, body, sum, needs, identity, run, expires_at, created_at, used_at, used_seq)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT COALESCE(MAX(used_seq), 0) + 1 FROM results))`,
        result.key,
        body,
        Bun.hash.xxHash32(body + needs),
        needs,
        result.identity,
        result.run,
        expiresAtMs,
        nowMs,
        nowMs,
      );
      this.#index.run("INSERT OR REPLACE INTO key_parts (key, parts) VALUES (?, ?)", result.key, JSON.stringify(parts));
    });
  }

  /** Digests of layers that a result needs and that have to pass `layers.verify` before use: written before the last reboot. */
  untrusted(stored: StoredResult): readonly Digest[] {
    return needsOf(stored.result).layers.filter((digest) => this.#layers.needsCheck(digest));
  }

  /** The latest result with this identity, expired or not, whose key is not `except`; for comparing. */
  nearest(identity: string, except: Digest | null = null): StoredResult | null {
    const rows = this.#index.all<ResultRow>(
      `SELECT ${COLUMNS} FROM results WHERE identity = ? AND key <> ? ORDER BY rowid DESC LIMIT 8`,
      identity,
      except ?? "",
    );
    const row = rows.find((each) => this.#isSound(each));
    return row ? this.#stored(row) : null;
  }

  /**
   * Records that these results were used: one statement, at the end of a run. Nothing is written when they are the ones used last,
   * as when a run is repeated: their order is right already, and their time of use may be `USE_SLACK_MS` behind.
   */
  touch(keys: readonly Digest[]): void {
    if (keys.length === 0 || this.#wereUsedLast(keys)) return;
    this.#index.run(
      `UPDATE results SET used_at = ?, used_seq = (SELECT COALESCE(MAX(used_seq), 0) + 1 FROM results)
       WHERE key IN (SELECT value FROM json_each(?))`,
      Date.now(),
      JSON.stringify(keys),
    );
  }

  #wereUsedLast(keys: readonly Digest[]): boolean {
    const newest = this.#index.all<{ key: Digest; used_at: number }>(
      "SELECT key, used_at FROM results WHERE used_seq = (SELECT MAX(used_seq) FROM results)",
    );
    const asked = new Set(keys);
    const after = Date.now() - USE_SLACK_MS;
    return newest.length === asked.size && newest.every((row) => row.used_at > after && asked.has(row.key));
  }

  /** Most recently used first. */
  list(limit = 1_000): readonly ResultSummary[] {
    return this.#index
      .all<{
        key: Digest;
        identity: string;
        run: string;
        created_at: number;
        used_at: number;
        expires_at: number | null;
      }>(
        "SELECT key, identity, run, created_at, used_at, expires_at FROM results ORDER BY used_seq DESC, rowid DESC LIMIT ?",
        limit,
      )
      .map((row) => ({
        key: row.key,
        identity: row.identity,
        run: row.run,
        storedAtMs: row.created_at,
        usedAtMs: row.used_at,
        expiresAtMs: row.expires_at,
      }));
  }

  drop(key: Digest): void {
    this.#index.transaction(() => {
      this.#index.run("DELETE FROM results WHERE key = ?", key);
      this.#index.run("DELETE FROM key_parts WHERE key = ?", key);
    });
  }

  #stored(row: ResultRow): StoredResult {
    return new StoredResult(row, () => {
      const parts = this.#index.get<{ parts: string }>("SELECT parts FROM key_parts WHERE key = ?", row.key);
      return parts ? (JSON.parse(parts.parts) as KeyParts) : {};
    });
  }

  #isSound(row: ResultRow): boolean {
    return Bun.hash.xxHash32(row.body + row.needs) === row.sum;
  }

  #hasAll(needs: string): boolean {
    return needs.split(" ").every((need) => {
      const digest = need.slice(1) as Digest;
      return need.startsWith("l") ? this.#layers.has(digest) : this.#blobs.has(digest);
    });
  }

  #dropDamaged(key: Digest, why: string): null {
    this.drop(key);
    this.#index.warn("result-dropped", `The result of key ${key.slice(7, 19)} was dropped: ${why}`);
    return null;
  }
}

/**
 * Whether a result's time to live is left. A clock that stands before the result was made has been set back: how old the result
 * is can't be known, so one that may expire counts as expired.
 */
function isFresh(row: ResultRow, nowMs: number): boolean {
  if (row.expires_at === null) return true;
  return nowMs < row.expires_at && nowMs >= row.created_at - CLOCK_SLACK_MS;
}

/** How far the time of a result's last use may be behind. */
const USE_SLACK_MS = 60 * 60_000;

/** Clocks are adjusted by small steps all the time. */
const CLOCK_SLACK_MS = 60_000;
