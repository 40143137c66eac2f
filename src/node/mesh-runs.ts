// Runs over the whole mesh: those that this machine coordinates are shown to the others, and theirs are found, watched and
// stopped from here. What another machine says is checked before it is believed.

import { MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";
import type { PeerId } from "../base/ids.ts";
import type { Peers } from "../mesh/peers.ts";
import { streamFrom } from "../mesh/stream-from.ts";
import type { ActiveRuns } from "./active-runs.ts";
import { isActiveRun, parseFeedLine } from "./mesh-run-check.ts";
import type { ActiveRun } from "./node-service.ts";
import type { FeedMessage } from "./run-feed.ts";

/** Who may look at runs and stop them: the machines that may start some. */
const NEEDS = { needs: ["submitter", "admin"] } as const;

const encoder = new TextEncoder();

/** Lets other machines see, watch and stop the runs of this one. */
export function serveRuns(peers: Peers, runs: ActiveRuns): void {
  peers.onCall("run.list", () => runs.list(), NEEDS);
  peers.onCall(
    "run.cancel",
    (params) => {
      const { run, force } = params as { readonly run?: unknown; readonly force?: unknown };
      return runs.cancel(runName(run), force === true);
    },
    NEEDS,
  );
  peers.onStream(
    "run.watch",
    async function* (params, caller) {
      const feed = runs.feed(runName((params as { readonly run?: unknown }).run));
      if (feed === null) throw new MeshError("run.not-found", "No such run goes on here");
      for await (const message of feed.read(caller.signal)) yield encoder.encode(`${JSON.stringify(message)}\n`);
    },
    NEEDS,
  );
}

export class MeshRuns {
  readonly #peers: Peers;
  readonly #runs: ActiveRuns;

  constructor(peers: Peers, runs: ActiveRuns) {
    this.#peers = peers;
    this.#runs = runs;
  }

  /** Those of all machines that answer, newest first. */
  async list(): Promise<readonly ActiveRun[]> {
    const theirs = await Promise.all(this.#others().map((peer) => this.#listOf(peer)));
    return [...this.#runs.list(), ...theirs.flat()].toSorted((a, b) => b.startedAtMs - a.startedAtMs);
  }

  /** Everything that is said of a run, wherever it is coordinated. Throws `run.not-found`. */
  async *feed(run: string, signal: AbortSignal): AsyncGenerator<FeedMessage, void, undefined> {
    const here = this.#runs.feed(run);
    if (here !== null) return yield* here.read(signal);
    const { peer, found } = await this.#find(run);
    const decoder = new TextDecoder();
    let rest = "";
    const options = { timeoutMs: LIMITS.callMs, signal };
    const bytes = streamFrom(this.#peers, peer, { method: "run.watch", params: { run: found.id } }, options);
    for await (const piece of bytes) {
      const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LIMITS.feedLineChars)
        throw new MeshError("peer.misbehaved", `${found.coordinator} sent an endless line`);
      for (const line of lines) yield parseFeedLine(line, found.coordinator);
    }
  }

  /** Asks a run to stop. Throws `run.not-found`. */
  async cancel(run: string, force: boolean): Promise<ActiveRun> {
    const here = this.#runs.cancel(run, force);
    if (here !== null) return here;
    const { peer, found } = await this.#find(run);
    await this.#peers.call(peer, "run.cancel", { run: found.id, force }, { timeoutMs: LIMITS.callMs });
    return found;
  }

  async #find(run: string): Promise<{ readonly peer: PeerId; readonly found: ActiveRun }> {
    const answers = await Promise.all(
      this.#others().map(async (peer) => (await this.#listOf(peer)).map((found) => ({ peer, found }))),
    );
    const matching = answers.flat().filter(({ found }) => found.id.startsWith(run));
    const [first] = matching;
    if (first !== undefined && matching.length === 1) return first;
    throw new MeshError(
      "run.not-found",
      first === undefined
        ? `Cannot find run ${JSON.stringify(run)} on any machine that is up`
        : `${JSON.stringify(run)} is the start of ${matching.length} runs`,
      { hint: "`mesh top` shows the runs that go on." },
    );
  }

  /** None when the machine does not answer. */
  async #listOf(peer: PeerId): Promise<readonly ActiveRun[]> {
    try {
      const answer = await this.#peers.call(peer, "run.list", {}, { timeoutMs: LIMITS.callMs });
      return Array.isArray(answer) && answer.every(isActiveRun) ? answer : [];
    } catch {
      return [];
    }
  }

  #others(): readonly PeerId[] {
    return this.#peers.list().flatMap(({ id, state }) => (state === "up" || state === "suspect" ? [id] : []));
  }
}

function runName(value: unknown): string {
  if (typeof value === "string" && value.length > 0 && value.length <= 64) return value;
  throw new MeshError("usage.invalid", "The name of a run is expected");
}
