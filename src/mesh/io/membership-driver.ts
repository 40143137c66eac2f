// Runs the membership machine: one event at a time, an alarm for its next tick, and what it wants done with connections. What it
// wants said to others is passed on.

import { unreachable } from "../../base/assert.ts";
import { MeshError } from "../../base/errors.ts";
import { type PeerId, shortPeer } from "../../base/ids.ts";
import { systemRandom } from "../../base/io/system.ts";
import { LIMITS } from "../../base/limits.ts";
import { formatAddress } from "../address.ts";
import { InTurn } from "../in-turn.ts";
import { Membership } from "../membership.ts";
import type { CloseReason, DialId, MembershipEffect, MembershipEvent, Timing } from "../membership-event.ts";
import type { PeerView } from "../peer-view.ts";
import type { RememberedPeer } from "./addresses-file.ts";
import type { Links } from "./links.ts";

/** What is done with words and calls, or told on this machine. */
export type TalkEffect = Exclude<MembershipEffect, { readonly kind: "dial" | "cancel-dial" | "close" }>;

export interface DriverOptions {
  readonly self: PeerId;
  readonly instance: string;
  readonly port: number | null;
  readonly version: string;
  readonly links: Links;
  readonly timing: Partial<Timing>;
  readonly perform: (effect: TalkEffect) => void;
}

export class MembershipDriver {
  readonly #options: DriverOptions;
  readonly #machine: Membership;
  readonly #dials = new Map<DialId, AbortController>();
  readonly #events = new InTurn<MembershipEvent>((event) => this.#take(event));
  #isClosed = false;
  #alarm: ReturnType<typeof setTimeout> | undefined;

  constructor(options: DriverOptions) {
    this.#options = options;
    const { self, instance, port, version, timing } = options;
    const seed = new DataView(systemRandom.bytes(4).buffer).getUint32(0);
    this.#machine = new Membership({ self, instance, port, version, timing, seed, nowMs: performance.now() });
  }

  /** Times are those of `performance.now`. */
  views(): readonly PeerView[] {
    return this.#machine.views(performance.now());
  }

  view(peer: PeerId): PeerView | null {
    return this.#machine.view(peer, performance.now());
  }

  remembered(): readonly RememberedPeer[] {
    return this.#machine.remembered();
  }

  /** Events that come up while another one is dealt with wait: the machine is stepped by one at a time. */
  step(event: MembershipEvent): void {
    if (this.#events.add(event)) this.#setAlarm();
  }

  /** Ends attempts to connect; events are passed over from now on. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#alarm);
    for (const controller of this.#dials.values()) controller.abort();
  }

  #take(event: MembershipEvent): void {
    if (this.#isClosed) return;
    for (const effect of this.#machine.step(event, performance.now())) this.#perform(effect);
  }

  #setAlarm(): void {
    clearTimeout(this.#alarm);
    if (this.#isClosed) return;
    const waitMs = Math.max(0, this.#machine.wakeAtMs - performance.now());
    this.#alarm = setTimeout(() => this.step({ kind: "tick" }), waitMs);
  }

  #perform(effect: MembershipEffect): void {
    switch (effect.kind) {
      case "dial":
        void this.#dial(effect);
        return;
      case "cancel-dial":
        this.#dials.get(effect.dial)?.abort();
        return;
      case "close": {
        const name = this.view(effect.peer)?.name ?? shortPeer(effect.peer);
        return this.#options.links.drop(effect.peer, closing(effect.reason, name));
      }
      default:
        this.#options.perform(effect);
    }
  }

  async #dial({ dial, peer, address }: Extract<MembershipEffect, { kind: "dial" }>): Promise<void> {
    const controller = new AbortController();
    this.#dials.set(dial, controller);
    const signal = AbortSignal.any([controller.signal, AbortSignal.timeout(LIMITS.dialMs)]);
    try {
      await this.#options.links.connect(peer, address, signal);
    } catch (error) {
      const reason = error instanceof MeshError ? error.message : `no answer from ${formatAddress(address)}`;
      this.step({ kind: "dial-failed", dial, reason });
    } finally {
      this.#dials.delete(dial);
    }
  }
}

function closing(reason: CloseReason, name: string): MeshError {
  switch (reason) {
    case "not-a-member":
      return new MeshError("peer.refused", `${name} is no member of the mesh`);
    case "revoked":
      return new MeshError("peer.refused", `${name} is no member of the mesh any more`);
    case "silent":
      return new MeshError("peer.unreachable", `Lost the connection to ${name}: it is silent`);
    case "copied":
      return new MeshError("mesh.identity-copied", `Two machines have the identity of ${name}`);
    default:
      return unreachable(reason);
  }
}
