// A process's part in the exchange of outputs: it brings each here once for all who want it, and serves what is on its disk, also while
// it is arriving, as src/mesh/io does.

import type { PeerId } from "../src/base/ids.ts";
import { LIMITS } from "../src/base/limits.ts";
import type { ReceiverWord } from "../src/mesh/receiver.ts";
import { Swarms } from "../src/mesh/swarms.ts";
import { Calls } from "./calls.ts";
import type { Host } from "./host.ts";
import { Line, type Sending } from "./line.ts";
import type { Answer, InputRef, Question } from "./message.ts";
import { SimTransfer, type TransferEnd } from "./transfer.ts";

/** What came of a fetch. */
export type Fetched =
  | { readonly kind: "here" }
  /** There is no room for it. */
  | { readonly kind: "full" }
  /** Nobody was found who has these. */
  | { readonly kind: "missing"; readonly tasks: readonly string[] };

interface Arriving {
  readonly transfer: SimTransfer;
  readonly waiting: Set<(end: TransferEnd) => void>;
}

/** How fast a disk is read, and how much slower at most: the largest output is read before others give it up. */
const READ_BYTES_PER_MS = 5_000;
const READ_SLOWNESS = 3;
/** The largest pieces, and most of one output: none is larger than all of these. */
const PIECE_BYTES = 2_000_000;
const MOST_PIECES = 12;

export class Exchange {
  readonly swarms = new Swarms();
  readonly calls: Calls;
  readonly #host: Host;
  readonly #line: Line;
  readonly #arriving = new Map<string, Arriving>();
  /** Outputs whose chunks are known. */
  readonly #listed = new Set<string>();
  /** What is to be sent, by who asked and the number of the question. */
  readonly #sending = new Map<string, Sending>();

  constructor(host: Host) {
    this.#host = host;
    this.calls = new Calls(host);
    this.#line = new Line(host);
  }

  /** Transfers under way. */
  get size(): number {
    return this.#arriving.size;
  }

  /** Whether somebody waits for something from here. */
  get isServing(): boolean {
    return this.#sending.size > 0;
  }

  /** Brings outputs to this machine. Returns what calls it off: then `done` is not called. */
  fetch(inputs: readonly InputRef[], done: (fetched: Fetched) => void): () => void {
    const { disk } = this.#host;
    const lacking = new Map(inputs.filter(({ digest }) => !disk.outputs.has(digest)).map((one) => [one.digest, one]));
    const ends = new Map<string, TransferEnd>();
    const over = (): void => {
      const missing = inputs.filter(({ digest }) => ends.get(digest) === "missing" && !disk.outputs.has(digest));
      if ([...ends.values()].includes("full")) done({ kind: "full" });
      else done(missing.length === 0 ? { kind: "here" } : { kind: "missing", tasks: missing.map(({ task }) => task) });
    };
    const leaving = [...lacking.values()].map((input) =>
      this.#join(input, (end) => {
        ends.set(input.digest, end);
        if (ends.size === lacking.size) over();
      }),
    );
    if (lacking.size === 0) over();
    return () => leaving.forEach((leave) => leave());
  }

  /** Asks all machines that it believes to be there, and tells of each that has an output as it answers. */
  search(digest: string, tell: { readonly found: (peer: PeerId) => void; readonly over: () => void }): void {
    this.#askWho(digest, this.#reachable, tell);
  }

  /** Asks another machine; null when it does not answer. Returns what calls the question off. */
  ask(peer: PeerId, question: Question, answered: (answer: Answer | null) => void): () => void {
    const to = this.#host.around.byId.get(peer);
    if (to === undefined) throw new Error("Bug: no such machine");
    const timeoutMs = question.kind === "locate" ? LIMITS.callMs : LIMITS.contentStallMs;
    return this.calls.ask(to, question, { timeoutMs, answered });
  }

  /** Another machine has come or gone. */
  sees(peer: PeerId, isUp: boolean): void {
    for (const { transfer } of this.#arriving.values()) transfer.tell({ kind: isUp ? "back" : "gone", peer });
  }

  // What others want

  heardWord(from: Host, digest: string, word: ReceiverWord): void {
    this.#arriving.get(digest)?.transfer.tell({ kind: "heard", peer: from.id, word });
  }

  asked(from: Host, id: number, question: Question): void {
    const answer = (said: Answer): void => this.#host.send(from, { kind: "answer", id, answer: said });
    const { digest } = question;
    switch (question.kind) {
      case "locate": {
        const isWhole = this.#host.disk.outputs.has(digest);
        return answer({ kind: "located", presence: isWhole ? "whole" : this.#arriving.has(digest) ? "part" : "none" });
      }
      case "join":
        return this.#list(question, () => answer(this.#joinOf(from, digest)));
      case "piece":
        return this.#send(from, id, question);
    }
  }

  calledOff(from: Host, id: number): void {
    const name = `${from.name} ${id}`;
    const sending = this.#sending.get(name);
    if (sending === undefined) return;
    this.#sending.delete(name);
    this.#line.callOff(sending);
  }

  /** Before somebody joins, what is here as a whole is read through once: its list of chunks is not kept on the disk. */
  #list({ digest, bytes }: Extract<Question, { readonly kind: "join" }>, listed: () => void): void {
    const { disk } = this.#host;
    if (this.#arriving.has(digest) || !disk.outputs.has(digest) || this.#listed.has(digest)) return listed();
    this.#host.after((bytes / READ_BYTES_PER_MS) * Math.min(disk.slowness, READ_SLOWNESS), () => {
      this.#listed.add(digest);
      listed();
    });
  }

  #joinOf(from: Host, digest: string): Answer {
    const { disk } = this.#host;
    const swarm = this.swarms.join(digest, from.id);
    const arriving = this.#arriving.get(digest);
    if (arriving !== undefined) {
      arriving.transfer.tell({ kind: "met", peer: from.id });
      const has = Array.from({ length: arriving.transfer.pieces }, (_, piece) => piece);
      return { kind: "joined", has: has.filter((piece) => disk.hasPiece(digest, piece)), swarm };
    }
    return disk.outputs.has(digest) ? { kind: "joined", has: null, swarm } : { kind: "missing" };
  }

  #send(from: Host, id: number, { digest, piece, bytes }: Extract<Question, { readonly kind: "piece" }>): void {
    const name = `${from.name} ${id}`;
    if (!this.#host.disk.hasPiece(digest, piece))
      return this.#host.send(from, { kind: "answer", id, answer: { kind: "missing" } });
    const sent = (): void => {
      this.#sending.delete(name);
      const isRight = !this.#host.lies();
      this.#host.send(from, { kind: "answer", id, answer: { kind: "piece", isRight } });
    };
    const sending = { to: from, bytes, sent };
    this.#sending.set(name, sending);
    this.#line.send(sending);
  }

  // What this machine wants

  /** Waits for an output with all others here who want it. */
  #join({ digest, bytes, at }: InputRef, ended: (end: TransferEnd) => void): () => void {
    const { byId } = this.#host.around;
    const arriving = this.#arriving.get(digest) ?? this.#begin(digest, bytes, believedOf(byId, at));
    arriving.waiting.add(ended);
    return () => {
      arriving.waiting.delete(ended);
      if (arriving.waiting.size > 0 || this.#arriving.get(digest) !== arriving) return;
      this.#arriving.delete(digest);
      arriving.transfer.stop("left");
    };
  }

  #begin(digest: string, bytes: number, believed: readonly PeerId[]): Arriving {
    const waiting = new Set<(end: TransferEnd) => void>();
    const output = { host: this.#host, digest, pieces: piecesOf(digest, bytes) };
    const transfer = new SimTransfer(this, output, (end) => {
      this.#arriving.delete(digest);
      for (const tell of waiting) tell(end);
    });
    const arriving = { transfer, waiting };
    this.#arriving.set(digest, arriving);
    this.#locate(digest, believed, (holders) => transfer.begin(holders));
    return arriving;
  }

  /** Machines that say they have an output. Others than the believed ones are asked when none of these has it. */
  #locate(digest: string, believed: readonly PeerId[], located: (peers: readonly PeerId[]) => void): void {
    const reachable = this.#reachable;
    const first = believed.filter((peer) => reachable.includes(peer));
    const others = reachable.filter((peer) => !first.includes(peer));
    const having: PeerId[] = [];
    const found = (peer: PeerId) => having.push(peer);
    this.#askWho(digest, first, {
      found,
      over: () =>
        having.length > 0 ? located(having) : this.#askWho(digest, others, { found, over: () => located(having) }),
    });
  }

  #askWho(
    digest: string,
    peers: readonly PeerId[],
    { found, over }: { readonly found: (peer: PeerId) => void; readonly over: () => void },
  ): void {
    let open = peers.length;
    for (const peer of peers)
      this.ask(peer, { kind: "locate", digest }, (answer) => {
        if (answer?.kind === "located" && answer.presence !== "none") found(peer);
        if (--open === 0) over();
      });
    if (open === 0) this.#host.after(0, over);
  }

  get #reachable(): readonly PeerId[] {
    return this.#host.believed.filter((host) => host !== this.#host).map(({ id }) => id);
  }
}

/** Bytes of each piece of an output: how many there are depends on its digest, so that all machines agree. */
export function piecesOf(digest: string, bytes: number): readonly number[] {
  const least = Math.max(1, Math.ceil(bytes / PIECE_BYTES));
  const count = least + Number(Bun.hash(digest) % BigInt(MOST_PIECES + 1 - least));
  const each = Math.max(1, Math.ceil(bytes / count));
  return Array.from({ length: count }, () => each);
}

function believedOf(byId: ReadonlyMap<PeerId, Host>, names: readonly string[]): readonly PeerId[] {
  const hosts = [...byId.values()];
  return names.flatMap((name) => hosts.filter((host) => host.name === name).map(({ id }) => id));
}
