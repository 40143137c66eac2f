// Words of a worker to one coordinator about one run, gathered and sent in order. Output that finds no way is dropped and
// counted; an end that finds none is said again when the coordinator renews its leases, so it is not kept here.

import type { PeerId, RunId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { Lane, Peers } from "../../mesh/peers.ts";
import type { AttemptRef } from "../../sched/run-event.ts";
import type { Free, WorkWord } from "./wire-words.ts";

/** How long output may wait for more of it. */
const OUTPUT_WAIT_MS = 25;

/** A task that has printed more than this is told of on the bulk lane, in order with its end. */
const TALKATIVE_BYTES = 64 * 1024;

/** Most output that waits to be sent; what is beyond is dropped. */
const WAITING_BYTES = LIMITS.workMessageBytes;

interface Talk {
  lane: Lane;
  printedBytes: number;
  droppedBytes: number;
}

export class WordSender {
  readonly #peers: Peers;
  readonly #to: PeerId;
  readonly #run: RunId;
  readonly #free: () => Free;
  readonly #waiting: Record<Lane, WorkWord[]> = { control: [], bulk: [] };
  readonly #talks = new Map<string, Talk>();
  #waitingBytes = 0;
  #timer: Timer | null = null;
  #isDue = false;

  /** `free`: what is free of this machine at the moment. */
  constructor({ peers, to, run, free }: { peers: Peers; to: PeerId; run: RunId; free: () => Free }) {
    this.#peers = peers;
    this.#to = to;
    this.#run = run;
    this.#free = free;
  }

  output(ref: AttemptRef, stream: "stdout" | "stderr", bytes: Uint8Array): void {
    const talk = this.#talkOf(ref.lease);
    talk.printedBytes += bytes.length;
    if (talk.printedBytes > TALKATIVE_BYTES) talk.lane = "bulk";
    if (this.#waitingBytes + bytes.length > WAITING_BYTES) this.#flush();
    if (this.#waitingBytes + bytes.length > WAITING_BYTES) {
      talk.droppedBytes += bytes.length;
      return;
    }
    this.#waitingBytes += bytes.length;
    // the bytes are the reader's own buffer
    this.#push({ ...ref, kind: "output", stream, bytes: bytes.slice() });
    this.#timer ??= setTimeout(() => this.#flush(), OUTPUT_WAIT_MS);
  }

  /** Says it soon: with what else is said in this turn. */
  say(word: WorkWord): void {
    if (word.kind === "finished" || word.kind === "returned") {
      const droppedBytes = this.#talkOf(word.lease).droppedBytes;
      if (droppedBytes > 0) this.#push({ ...refOf(word), kind: "dropped", bytes: droppedBytes });
    }
    this.#push(word);
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => this.#flush());
  }

  /** Nothing more is said about an attempt. */
  forget(lease: string): void {
    this.#talks.delete(lease);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #push(word: WorkWord): void {
    this.#waiting[this.#talks.get(word.lease)?.lane ?? "control"].push(word);
  }

  #flush(): void {
    this.#isDue = false;
    this.close();
    for (const lane of ["control", "bulk"] as const) {
      for (const words of inMessages(this.#waiting[lane].splice(0))) {
        if (this.#peers.tell(this.#to, "work.words", { run: this.#run, words, free: this.#free() }, lane)) continue;
        for (const word of words)
          if (word.kind === "output") this.#talkOf(word.lease).droppedBytes += word.bytes.length;
      }
    }
    this.#waitingBytes = 0;
  }

  #talkOf(lease: string): Talk {
    let talk = this.#talks.get(lease);
    if (talk === undefined) this.#talks.set(lease, (talk = { lane: "control", printedBytes: 0, droppedBytes: 0 }));
    return talk;
  }
}

/** Groups words so that each message stays within its bound. */
function inMessages(words: readonly WorkWord[]): readonly (readonly WorkWord[])[] {
  const messages: WorkWord[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const word of words) {
    const bytes = sizeOf(word);
    if (size + bytes > LIMITS.workMessageBytes) {
      messages.push([]);
      size = 0;
    }
    size += bytes;
    messages.at(-1)?.push(word);
  }
  return messages;
}

/** About as many bytes as it takes on the wire. */
function sizeOf(word: WorkWord): number {
  const head = 200;
  if (word.kind === "output") return head + word.bytes.length;
  if (word.kind === "finished" && word.parcel !== null)
    return (
      head + 2 * (word.parcel.json?.length ?? 0) + word.parcel.trees.reduce((sum, [, tree]) => sum + tree.length, 0)
    );
  return word.kind === "returned" ? head + 80 * word.missing.length : head;
}

function refOf({ key, attempt, lease }: AttemptRef): AttemptRef {
  return { key, attempt, lease };
}
