// How long tasks took, learnt over time by identity, for ordering by critical path.

import type { Index } from "./index-db.ts";

/** Weight of the newest run once several are known: recent behaviour counts, one odd run does not decide. */
const NEWEST_SHARE = 0.3;

export class Durations {
  readonly #index: Index;

  constructor(index: Index) {
    this.#index = index;
  }

  /** Expected milliseconds by identity, for those that are known: one query. */
  get(identities: readonly string[]): ReadonlyMap<string, number> {
    const rows = this.#index.all<{ identity: string; mean_ms: number }>(
      "SELECT identity, mean_ms FROM durations WHERE identity IN (SELECT value FROM json_each(?))",
      JSON.stringify(identities),
    );
    return new Map(rows.map((row) => [row.identity, row.mean_ms]));
  }

  /** Takes what tasks took into account: one transaction. */
  learn(observed: readonly { readonly identity: string; readonly durationMs: number }[]): void {
    if (observed.length === 0) return;
    this.#index.transaction(() => {
      for (const { identity, durationMs } of observed) {
        this.#index.run(
          `INSERT INTO durations (identity, mean_ms, runs) VALUES (?1, ?2, 1) ON CONFLICT (identity) DO UPDATE SET
           mean_ms = CAST(ROUND(mean_ms + (?2 - mean_ms) * MAX(?3, 1.0 / (runs + 1))) AS INTEGER), runs = runs + 1`,
          identity,
          Math.round(durationMs),
          NEWEST_SHARE,
        );
      }
    });
  }
}
