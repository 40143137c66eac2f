// The codes that are open on a machine that invites, and how often they may be tried. A code is good for one guess. It never does
// the pairing, and never keeps a code longer than it is open.

import { LIMITS } from "../base/limits.ts";
import type { Random } from "../base/ports.ts";
import { CODE_RANDOM_BYTES, CODE_SLOTS, type InviteCode, makeInviteCode } from "./invite-code.ts";
import type { Role } from "./roles.ts";

/** What a code is for. */
export interface Invitation {
  readonly roles: readonly Role[];
  /** When the membership ends that it leads to; null for never. */
  readonly memberUntilMs: number | null;
}

export interface OpenInvitation extends Invitation {
  readonly code: InviteCode;
  readonly expiresAtMs: number;
}

export type Attempt =
  | { readonly kind: "open"; readonly invitation: OpenInvitation }
  /** No code of that slot is open: never was, has expired, was used or guessed at. */
  | { readonly kind: "none" }
  /** Too many attempts lately, by this address or by all. */
  | { readonly kind: "too-many"; readonly retryAfterMs: number };

export class InviteBook {
  readonly #open = new Map<number, OpenInvitation>();
  /** Attempts of the last minute, oldest first. Never more than are allowed. */
  #attempts: { readonly address: string; readonly atMs: number }[] = [];

  /** Opens a code; null when as many are open as may be. */
  open(
    invitation: Invitation,
    random: Random,
    { nowMs, lifeMs }: { nowMs: number; lifeMs?: number },
  ): OpenInvitation | null {
    this.#expire(nowMs);
    if (this.#open.size >= LIMITS.inviteCodes) return null;
    const wished = (random.bytes(1)[0] ?? 0) % CODE_SLOTS;
    const slots = Array.from({ length: CODE_SLOTS }, (_, index) => (wished + index) % CODE_SLOTS);
    const slot = slots.find((each) => !this.#open.has(each)) ?? 0;
    const code = makeInviteCode(slot, random.bytes(CODE_RANDOM_BYTES));
    const opened = { ...invitation, code, expiresAtMs: nowMs + (lifeMs ?? LIMITS.inviteMs) };
    this.#open.set(slot, opened);
    return opened;
  }

  /** Somebody at an address wants to pair by the code of a slot. Costs a try, whatever comes of it. */
  attempt(slot: number, address: string, nowMs: number): Attempt {
    this.#expire(nowMs);
    const mine = this.#attempts.filter((attempt) => attempt.address === address);
    const full =
      mine.length >= LIMITS.pairingsPerAddress
        ? mine
        : this.#attempts.length >= LIMITS.pairingsInAll
          ? this.#attempts
          : null;
    if (full !== null)
      return { kind: "too-many", retryAfterMs: (full[0]?.atMs ?? nowMs) + LIMITS.pairingWindowMs - nowMs };
    this.#attempts.push({ address, atMs: nowMs });
    const invitation = this.#open.get(slot);
    return invitation === undefined ? { kind: "none" } : { kind: "open", invitation };
  }

  /** Takes a code out of the book: it was used, or guessed at. False when it was not open any more. */
  spend(invitation: OpenInvitation, nowMs: number): boolean {
    this.#expire(nowMs);
    if (this.#open.get(invitation.code.slot) !== invitation) return false;
    return this.#open.delete(invitation.code.slot);
  }

  /** Whether a code can still be used. */
  isOpen(invitation: OpenInvitation, nowMs: number): boolean {
    this.#expire(nowMs);
    return this.#open.get(invitation.code.slot) === invitation;
  }

  /** When the next open code expires; null when none is open. */
  nextExpiryMs(nowMs: number): number | null {
    this.#expire(nowMs);
    const times = [...this.#open.values()].map(({ expiresAtMs }) => expiresAtMs);
    return times.length === 0 ? null : Math.min(...times);
  }

  #expire(nowMs: number): void {
    for (const [slot, { expiresAtMs }] of this.#open) if (expiresAtMs <= nowMs) this.#open.delete(slot);
    this.#attempts = this.#attempts.filter(({ atMs }) => atMs > nowMs - LIMITS.pairingWindowMs);
  }
}
