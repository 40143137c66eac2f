// Words between machines that are linked: they take their time, wait for a lost packet, overtake each other now and then, and are
// gone when the line is cut, the connection closed or a process has ended.

import type { Host } from "./host.ts";
import type { Lan, LanShape } from "./lan.ts";
import type { Message } from "./message.ts";
import { must, type World } from "./world.ts";

export interface NetworkShape extends LanShape {
  /** Share of messages that may be overtaken: as on another connection. */
  readonly reordering: number;
  /** Share of messages that arrive twice: as a call that was repeated. */
  readonly doubling: number;
}

export class Network {
  readonly #world: World;
  readonly #shape: NetworkShape;
  readonly #lan: Lan;
  readonly #lastArrival = new Map<string, number>();
  sent = 0;

  constructor(world: World, shape: NetworkShape, lan: Lan) {
    this.#world = world;
    this.#shape = shape;
    this.#lan = lan;
  }

  send(from: Host, to: Host, message: Message): void {
    this.sent++;
    const [sender, receiver] = [from.life, to.life];
    const end = from.mesh?.openTo(to) ?? null;
    if ((from !== to && end === null) || this.#lan.isCut(from, to)) return;
    const link = `${from.name} ${to.name}`;
    const { random } = this.#world;
    const times = random.chance(this.#shape.doubling) ? 2 : 1;
    for (let time = 0; time < times; time++) {
      let delayMs = from === to ? 0 : this.#shape.latencyMs + random.next() * this.#shape.jitterMs;
      if (random.chance(this.#shape.loss)) delayMs += 200 + random.next() * 200;
      let arrival = this.#world.nowMs + delayMs;
      if (!random.chance(this.#shape.reordering)) {
        arrival = Math.max(arrival, this.#lastArrival.get(link) ?? 0);
        this.#lastArrival.set(link, arrival);
      }
      this.#world.after(arrival - this.#world.nowMs, () => {
        if (from.life !== sender || to.life !== receiver || this.#lan.isCut(from, to)) return;
        if (from !== to && end?.other?.isClosed !== false) return;
        must(!to.disk.revoked.has(from.id), () => `${to.name} hears ${from.name}, which is revoked`);
        to.receive(from, message);
      });
    }
  }

  /** Whether words get through both ways between processes that are linked. */
  reaches(from: Host, to: Host): boolean {
    if (from === to) return from.isRunning;
    const isOpen = (a: Host, b: Host): boolean => (a.mesh?.openTo(b) ?? null) !== null;
    return this.#lan.reaches(from, to) && isOpen(from, to) && isOpen(to, from);
  }
}
