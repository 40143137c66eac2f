// The simulated network: messages between machines take their time, wait for a lost packet, overtake each other now and then,
// and are gone when a link is cut or a process ends; and who believes whom to be alive, some time after it changes.

import type { Host } from "./host.ts";
import type { Message } from "./message.ts";
import type { World } from "./world.ts";

export interface NetworkShape {
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** Share of messages that wait for a packet to be sent again. */
  readonly loss: number;
  /** Share of messages that may be overtaken: as on another connection. */
  readonly reordering: number;
  /** Share of messages that arrive twice: as a call that was repeated. */
  readonly doubling: number;
}

export class Network {
  readonly #world: World;
  readonly #shape: NetworkShape;
  readonly #hosts: readonly Host[];
  /** One-way links that are cut, as "from to". */
  readonly #cut = new Set<string>();
  readonly #lastArrival = new Map<string, number>();
  sent = 0;

  constructor(world: World, shape: NetworkShape, hosts: readonly Host[]) {
    this.#world = world;
    this.#shape = shape;
    this.#hosts = hosts;
  }

  send(from: Host, to: Host, message: Message): void {
    this.sent++;
    const [sender, receiver] = [from.life, to.life];
    const link = linkOf(from, to);
    if (this.#cut.has(link)) return;
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
        // A connection ends with either process, and when its link is cut.
        if (from.life === sender && to.life === receiver && !this.#cut.has(link)) to.receive(from, message);
      });
    }
  }

  /** Whether words get through both ways between processes that live. */
  reaches(from: Host, to: Host): boolean {
    return from.isRunning && to.isRunning && !this.#cut.has(linkOf(from, to)) && !this.#cut.has(linkOf(to, from));
  }

  cut(from: Host, to: Host): void {
    this.#cut.add(linkOf(from, to));
  }

  mend(from: Host, to: Host): void {
    this.#cut.delete(linkOf(from, to));
  }

  /** Something about a machine or its links has changed: those concerned notice, each in its time. */
  changed(host: Host): void {
    for (const other of this.#hosts) {
      if (other === host) continue;
      this.#notice(host, other);
      this.#notice(other, host);
    }
  }

  #notice(watcher: Host, other: Host): void {
    const isUp = this.reaches(watcher, other);
    // A closed connection is seen at once; silence takes up to four seconds; a new connection, one at most.
    const delayMs = isUp
      ? this.#world.between(50, 1_000)
      : !other.isAlive && this.#world.random.chance(0.7)
        ? this.#world.between(1, 300)
        : this.#world.between(2_000, 4_000);
    const { life } = other;
    this.#world.after(delayMs, () => {
      if (this.reaches(watcher, other) !== isUp || other.life !== life) return;
      watcher.believe(other, isUp);
    });
  }
}

function linkOf(from: Host, to: Host): string {
  return `${from.name} ${to.name}`;
}
