// What the user asked for when a run was started, as plain data: enough to do it again.

export interface RunOptions {
  /** Path of the run definition, absolute. */
  readonly path: string;
  readonly targets: readonly string[];
  readonly init: Readonly<Record<string, string>>;
  readonly failFast: boolean;
  /** False serves nothing from the cache; results are kept all the same. */
  readonly cache: boolean;
  /** Replaces the definition's base: "host". */
  readonly base: string | null;
  readonly title: string | null;
  readonly backend: "context" | "process";
  /** Most tasks at once; null for as many as fit. */
  readonly jobs: number | null;
}
