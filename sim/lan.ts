// The simulated local network below the connections: who listens at which address, what crosses a connection and in what order, what
// stays on its way while a line is cut, and who sees whose announcements. It knows no members and decides nothing.

import { LIMITS } from "../src/base/limits.ts";
import type { LinkConnection } from "../src/mesh/link-state.ts";
import type { Address } from "../src/mesh/peer-view.ts";
import type { Host } from "./host.ts";
import type { World } from "./world.ts";

export interface LanShape {
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** Share of packets that have to be sent again. */
  readonly loss: number;
  /** Whether announcements get through. */
  readonly multicast: boolean;
}

export const PORT = 7433;
/** What a process sends again and again, until it is heard. */
const RESEND_MS = 200;

/** One machine's end of a connection. */
export class End implements LinkConnection {
  readonly lane = "control";
  readonly host: Host;
  readonly life: number;
  readonly peerName: string;
  readonly dialledHere: boolean;
  readonly remote: Address;
  hello: { readonly instance: string } | null = null;
  isClosed = false;
  isFinishing = false;
  heardAtMs = 0;
  /** Null before the other machine has taken the connection. */
  other: End | null = null;
  lastArrivalMs = 0;

  constructor(host: Host, peer: Host, given: { readonly dialledHere: boolean; readonly remote: Address }) {
    this.host = host;
    this.life = host.life;
    this.peerName = peer.name;
    this.dialledHere = given.dialledHere;
    this.remote = given.remote;
  }

  get isOpen(): boolean {
    return this.hello !== null && !this.isClosed && !this.isFinishing;
  }
}

export class Lan {
  readonly #world: World;
  readonly #shape: LanShape;
  readonly #hosts: readonly Host[];
  /** Directions that are cut, as "from to", and what waits for each to be mended. */
  readonly #cut = new Map<string, (() => void)[]>();
  readonly #changedAtMs = new Map<string, number>();
  readonly #at = new Map<string, Host>();
  #lastAddress = 0;

  constructor(world: World, shape: LanShape, hosts: readonly Host[]) {
    this.#world = world;
    this.#shape = shape;
    this.#hosts = hosts;
    for (const host of hosts) this.renumber(host);
  }

  /** Gives a machine another address than it had: what stands over the old one is not heard of again. */
  renumber(host: Host): void {
    if (this.#at.get(host.address) === host) this.#at.delete(host.address);
    const at = ++this.#lastAddress;
    host.address = `10.0.${at >> 8}.${at & 255}`;
    this.#at.set(host.address, host);
    host.changedAtMs = this.#world.nowMs;
  }

  at(address: Address): Host | null {
    return address.port === PORT ? (this.#at.get(address.host) ?? null) : null;
  }

  cut(from: Host, to: Host): void {
    const line = lineOf(from, to);
    if (this.#cut.has(line)) return;
    this.#cut.set(line, []);
    this.#changedAtMs.set(line, this.#world.nowMs);
  }

  mend(from: Host, to: Host): void {
    const line = lineOf(from, to);
    const waiting = this.#cut.get(line);
    if (waiting === undefined) return;
    this.#cut.delete(line);
    this.#changedAtMs.set(line, this.#world.nowMs);
    for (const act of waiting) act();
  }

  /** When a line was last cut or mended. */
  changedAtMs(from: Host, to: Host): number {
    return this.#changedAtMs.get(lineOf(from, to)) ?? 0;
  }

  isCut(from: Host, to: Host): boolean {
    return this.#cut.has(lineOf(from, to));
  }

  /** Whether words get through both ways between processes that run. */
  reaches(a: Host, b: Host): boolean {
    return a === b ? a.isRunning : a.isRunning && b.isRunning && !this.isCut(a, b) && !this.isCut(b, a);
  }

  /** A packet that may be lost for good: `arrive` is called when it is not. */
  packet(from: Host, to: Host, arrive: () => void): void {
    this.#world.after(this.#delayMs(), () => {
      if (!this.isCut(from, to)) arrive();
    });
  }

  /** Brings something to the other end of a connection, after all that went before it; while the line is cut it waits. */
  carry(from: End, to: End, arrive: () => void): void {
    const { address } = to.host;
    const deliver = (): void => {
      const waiting = this.#cut.get(lineOf(from.host, to.host));
      if (waiting !== undefined) waiting.push(() => this.#world.after(RESEND_MS, deliver));
      else if (to.host.address === address && from.host.address === fromAddress && !to.isClosed)
        to.host.inLife(to.life, () => {
          if (to.isClosed) return;
          to.heardAtMs = this.#world.nowMs;
          arrive();
        });
    };
    const fromAddress = from.host.address;
    const arrivalMs = Math.max(this.#world.nowMs + this.#delayMs(), to.lastArrivalMs);
    to.lastArrivalMs = arrivalMs;
    this.#world.after(arrivalMs - this.#world.nowMs, deliver);
  }

  /** Others see that a machine is there, each unless the line is cut or the packet lost. */
  announce(host: Host, seen: (other: Host) => void): void {
    if (!this.#shape.multicast) return;
    for (const other of this.#hosts) {
      if (other === host || this.#world.random.chance(this.#shape.loss)) continue;
      this.packet(host, other, () => other.inLife(other.life, () => seen(other)));
    }
  }

  get hasMulticast(): boolean {
    return this.#shape.multicast;
  }

  /** The longest that a word takes over a line that is whole. */
  get mostDelayMs(): number {
    const { latencyMs, jitterMs, loss } = this.#shape;
    return latencyMs + jitterMs + (loss > 0 ? 2 * RESEND_MS : 0);
  }

  get world(): World {
    return this.#world;
  }

  #delayMs(): number {
    const { latencyMs, jitterMs, loss } = this.#shape;
    const { random } = this.#world;
    const again = random.chance(loss) ? RESEND_MS * (1 + random.next()) : 0;
    return latencyMs + random.next() * jitterMs + again;
  }
}

/** A line that carries nothing is given up after so long. */
export const SILENT_MS = LIMITS.connectionSilentMs;

function lineOf(from: Host, to: Host): string {
  return `${from.name} ${to.name}`;
}
