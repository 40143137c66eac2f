// Says each second what this machine has and what of it is free, to all that listen.

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
}

const EVERY_MS = 1_000;
/** Blobs are counted in every so many snapshots: that reads the whole index. */
const COUNT_EVERY = 15;

export class SnapshotPublisher implements Disposable {
  readonly #options: PublisherOptions;
  readonly #meter = new CpuMeter();
  readonly #timer: Timer;
  #draining: boolean;
  #blobs = { count: 0, bytes: 0 };
  #taken = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#draining = options.draining;
    this.#publish();
    this.#timer = setInterval(() => this.#publish(), EVERY_MS);
  }

  /** Whether this machine takes no more tasks. */
  drain(on: boolean): void {
    this.#draining = on;
    this.#publish();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #publish(): void {
    const { node, peers, gpus, home } = this.#options;
    const { store } = node;
    try {
      if (this.#taken++ % COUNT_EVERY === 0) this.#blobs = store.stats().blobs;
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
