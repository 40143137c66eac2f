// Says each second what this machine has and what of it is free, to all that listen; and soon after something became free.

import { MeshError } from "../base/errors.ts";
import type { Peers } from "../mesh/peers.ts";
import type { GpuDevice } from "./gpus.ts";
import type { MeshNode } from "./node.ts";
import { CpuMeter, takeSnapshot } from "./snapshot.ts";

export interface PublisherOptions {
  readonly node: MeshNode;
  readonly peers: Pick<Peers, "publish">;
  readonly home: string;
  readonly gpus: readonly GpuDevice[];
  readonly draining: boolean;
  /** For tests; a second when left out. */
  readonly everyMs?: number;
}

const EVERY_MS = 1_000;
/** How long after a task has ended that is said: what others were told in between they would go by for a whole run of short tasks. */
const FREED_MS = 100;
/** Blobs are counted in every so many seconds: that reads the whole index. */
const COUNT_EVERY = 15;

export class SnapshotPublisher implements Disposable {
  readonly #options: PublisherOptions;
  readonly #meter = new CpuMeter();
  readonly #timer: Timer;
  readonly #claims: Disposable;
  #freed: Timer | null = null;
  #draining: boolean;
  #blobs = { count: 0, bytes: 0 };
  #seconds = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#draining = options.draining;
    this.#publish({ isTick: true });
    this.#timer = setInterval(() => this.#publish({ isTick: true }), options.everyMs ?? EVERY_MS);
    this.#claims = options.node.store.claims.watch(() => {
      this.#freed ??= setTimeout(() => this.#publish({ isTick: false }), FREED_MS);
    });
  }

  /** Whether this machine takes no more tasks. */
  drain(on: boolean): void {
    this.#draining = on;
    this.#publish({ isTick: false });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#claims[Symbol.dispose]();
    if (this.#freed !== null) clearTimeout(this.#freed);
  }

  #publish({ isTick }: { readonly isTick: boolean }): void {
    const { node, peers, gpus, home } = this.#options;
    const { store } = node;
    if (this.#freed !== null) clearTimeout(this.#freed);
    this.#freed = null;
    try {
      if (isTick && this.#seconds++ % COUNT_EVERY === 0) this.#blobs = store.stats().blobs;
      const taken = store.claims.list();
      const cpuPercent = this.#meter.percent();
      peers.publish(
        takeSnapshot({
          totals: node.totals,
          gpus,
          taken,
          blobs: this.#blobs,
          draining: this.#draining,
          cpuPercent,
          speedPercent: node.speedPercent(),
          home,
        }),
      );
    } catch (error) {
      // a store that is busy or full: what was said last stands for another second
      if (!(error instanceof MeshError)) throw error;
    }
  }
}
