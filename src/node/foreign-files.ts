// Who owns what tasks leave on this machine: its ids of contexts, and the process that works on files of subordinate ids.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ErrorCode, ERROR_CODES, MeshError } from "../base/errors.ts";
import { bestIdMap, IdMaps, rangeIds, subordinateRanges } from "../oci/io/id-map.ts";
import { runInUserNamespace } from "../oci/io/user-namespace.ts";
import type { IdMapKind } from "../oci/runtime/context-spec.ts";
import { IDENTITY_IDS, type IdMaps as StoreIdMaps } from "../store/ids.ts";
import { currentOwner } from "../store/io/liveness.ts";
import { defaultIds, type ForeignJob, type MapNames, nameOf, type Ownership } from "../store/io/ownership.ts";
import { Store } from "../store/io/store.ts";
import { homePaths } from "../store/paths.ts";
import { ownEnvironment, ownProgram } from "./own-program.ts";

/** The ownership of this machine's user. Looks at nothing before it is asked. */
export class MachineOwnership implements Ownership, AsyncDisposable {
  readonly #home: string;
  readonly #idMaps = new IdMaps();
  #kind: IdMapKind | null = null;
  #ids: StoreIdMaps | null = null;
  #names: MapNames | null = null;
  #jobs = 0;

  constructor(home: string) {
    this.#home = home;
  }

  /** Which ids exist in contexts. */
  get kind(): IdMapKind {
    return (this.#kind ??= bestIdMap());
  }

  ids(): StoreIdMaps {
    return (this.#ids ??= this.#findIds());
  }

  names(): MapNames {
    return (this.#names ??= { mapped: nameOf(this.ids()), plain: nameOf(defaultIds()) });
  }

  get perform(): Ownership["perform"] {
    return process.getuid?.() !== 0 && this.kind === "range" ? (job) => this.#perform(job) : null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#idMaps.close();
  }

  #findIds(): StoreIdMaps {
    const ranges = process.getuid?.() !== 0 && this.kind === "range" ? subordinateRanges() : null;
    return ranges === null ? defaultIds() : rangeIds(ranges);
  }

  async #perform(job: ForeignJob): Promise<unknown> {
    const { pid, startTicks } = currentOwner();
    // named like all that is temporary, so that it goes when this process dies
    const path = join(homePaths(this.#home).tmp, `${pid}.${startTicks || "0"}.job-${this.#jobs++}`);
    writeFileSync(path, JSON.stringify({ home: this.#home, names: this.names(), job } satisfies WrittenJob), {
      mode: 0o600,
    });
    try {
      const { exitCode, stderr } = await runInUserNamespace(this.#idMaps, {
        argv: ownProgram("job", path),
        env: ownEnvironment(),
      });
      if (exitCode !== 0)
        throw new MeshError("io.failed", `Cannot ${job.kind} with the ids of contexts: ${stderr.trim().slice(-500)}`);
      const answer = JSON.parse(readFileSync(path, "utf8")) as JobAnswer;
      if ("value" in answer) return answer.value;
      throw new MeshError(answer.code, answer.message);
    } finally {
      rmSync(path, { force: true });
    }
  }
}

interface WrittenJob {
  readonly home: string;
  readonly names: MapNames;
  readonly job: ForeignJob;
}

type JobAnswer = { readonly value: unknown } | { readonly code: ErrorCode; readonly message: string };

/** Does the job in a file, as a process that has the ids of contexts; the answer takes the file's place. */
export async function performJob(path: string): Promise<void> {
  const { home, names, job } = JSON.parse(readFileSync(path, "utf8")) as WrittenJob;
  using store = Store.open(home, { ids: () => IDENTITY_IDS, names: () => names, perform: null });
  writeFileSync(path, JSON.stringify(await answerOf(store, job)));
  await store.settled();
}

async function answerOf(store: Store, job: ForeignJob): Promise<JobAnswer> {
  try {
    return { value: (await store.owned.perform(job)) ?? null };
  } catch (error) {
    const code = error instanceof MeshError && error.code in ERROR_CODES ? error.code : "io.failed";
    return { code, message: error instanceof Error ? error.message : String(error) };
  }
}
