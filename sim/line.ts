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
  /** Machines that were sent something, the last one last. */
  readonly #served = new Set<Host>();
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
    const next = this.#choose(nowMs);
    if (next === null) return;
    const { to, bytes, sent } = next;
    this.#waiting.delete(next);
    this.#served.delete(to);
    this.#served.add(to);
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

  /** All machines in turn; but it does not wait for one while it could serve another. */
  #choose(nowMs: number): Sending | null {
    const turns = [...this.#served];
    const waiting = [...this.#waiting].sort((a, b) => turns.indexOf(a.to) - turns.indexOf(b.to));
    return waiting.find(({ to }) => to.receivesUntilMs <= nowMs) ?? waiting[0] ?? null;
  }

  #wait(): void {
    this.#isBusy = true;
    this.#host.after(STUCK_MS, () => {
      this.#isBusy = false;
      this.#next();
    });
  }
}
