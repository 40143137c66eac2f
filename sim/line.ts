// What one process sends of outputs: piece after piece over its machine's line, each as fast as the slower of the two lines and disks.

import type { Host } from "./host.ts";

/** A disk that is stuck is tried again after so long. */
const STUCK_MS = 500;

export interface Sending {
  readonly to: Host;
  readonly bytes: number;
  readonly sent: () => void;
}

export class Line {
  readonly #host: Host;
  readonly #waiting = new Set<Sending>();
  #isBusy = false;

  constructor(host: Host) {
    this.#host = host;
  }

  send(sending: Sending): void {
    this.#waiting.add(sending);
    this.#next();
  }

  /** What is not under way yet is not sent. */
  callOff(sending: Sending): void {
    this.#waiting.delete(sending);
  }

  #next(): void {
    if (this.#isBusy || this.#waiting.size === 0) return;
    if (this.#host.disk.isStuck) return this.#wait();
    const { nowMs } = this.#host.around.world;
    const waiting = [...this.#waiting];
    // It does not wait for one machine while it could serve another.
    const next = waiting.find(({ to }) => to.receivesUntilMs <= nowMs) ?? waiting[0];
    if (next === undefined) return;
    const { to, bytes, sent } = next;
    this.#waiting.delete(next);
    this.#isBusy = true;
    const from = this.#host;
    const slowness = Math.max(from.disk.slowness, to.disk.slowness);
    const durationMs = (bytes / Math.min(from.lineBytesPerMs, to.lineBytesPerMs)) * slowness;
    const endsAtMs = Math.max(nowMs, to.receivesUntilMs) + durationMs;
    to.receivesUntilMs = endsAtMs;
    from.after(endsAtMs - nowMs, () => {
      this.#isBusy = false;
      sent();
      this.#next();
    });
  }

  #wait(): void {
    this.#isBusy = true;
    this.#host.after(STUCK_MS, () => {
      this.#isBusy = false;
      this.#next();
    });
  }
}
