// How a machine that knows a one-time code becomes a member: two machines that exchange opaque messages over one TLS connection.
// They never see a socket or a clock, and never put the code, or anything made of it alone, in a message.
//
//     joiner                                      inviter (an admin)
//       1  slot, share, addresses     ─────────>    tries are limited
//          share, addresses           <─────────  2
//       3  tag                        ─────────>    right: the code is used; wrong: it is burnt
//          tag                        <─────────  4
//       5  wish                       ─────────>
//          answer                     <─────────  6
//
// The joiner shows first that it knows the code, so that whoever guesses loses the code by it; one that breaks off before has
// learnt nothing. CPace is bound to both identity keys and to the TLS connection itself (its exporter), so that a man in the middle,
// whose connections are two, has one guess and no way to relay; and each side says which addresses it sees, which the other
// compares. What follows the tags carries a MAC under the agreed key. It is not encrypted once more: with the tags, both know that
// the TLS connection ends at the keys they see.

import { assert } from "../base/assert.ts";
import { type Canonical, canonicalBytes } from "../base/canonical.ts";
import type { PeerId } from "../base/ids.ts";
import type { Random } from "../base/ports.ts";
import {
  cpaceKey,
  type CpaceInputs,
  type CpaceMessage,
  cpaceShare,
  cpaceTag,
  lengthValue,
  SCALAR_BYTES,
} from "./cpace.ts";
import type { InviteBook, OpenInvitation } from "./invite-book.ts";
import type { InviteCode } from "./invite-code.ts";
import {
  addressData,
  addressesFit,
  answerBytes,
  answerOf,
  isSame,
  isTag,
  type JoinAnswer,
  type JoinWish,
  openSealed,
  type PairingChannel,
  type PairingRefusal,
  readMessage,
  reasonOf,
  REFUSED,
  refusalBytes,
  seal,
  shareOf,
  wishBytes,
  wishOf,
} from "./pairing-message.ts";
import type { Role } from "./roles.ts";

export type InviterStep =
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  /** The other knows the code. Make its grant and give it to `answer`, or `deny` it. */
  | {
      readonly kind: "wish";
      readonly wish: JoinWish & { readonly roles: readonly Role[] };
      readonly invitation: OpenInvitation;
    }
  /** Send the bytes and close. `burnt`: a guess was wrong, the code is gone. */
  | { readonly kind: "refused"; readonly reason: PairingRefusal; readonly bytes: Uint8Array; readonly burnt: boolean };

export type JoinerStep =
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  | { readonly kind: "joined"; readonly answer: JoinAnswer }
  | { readonly kind: "refused"; readonly reason: PairingRefusal };

/** The side that has the code from a person. */
export class PairingJoiner {
  readonly #inputs: CpaceInputs;
  readonly #scalar: Uint8Array;
  readonly #sent: CpaceMessage;
  readonly #channel: PairingChannel;
  readonly #slot: number;
  readonly #wish: JoinWish;
  #due: "share" | "tag" | "answer" | "nothing" = "share";
  #key: Uint8Array = new Uint8Array();
  #heard: CpaceMessage | null = null;

  constructor(code: InviteCode, channel: PairingChannel, wish: JoinWish, random: Random) {
    this.#channel = channel;
    this.#slot = code.slot;
    this.#wish = wish;
    this.#inputs = inputsOf(code, channel, { joiner: channel.own, inviter: channel.peer });
    this.#scalar = random.bytes(SCALAR_BYTES);
    this.#sent = { share: cpaceShare(this.#inputs, this.#scalar), data: addressData(channel) };
  }

  /** The first message. */
  start(): Uint8Array {
    return canonicalBytes([1, this.#slot, this.#sent.share, this.#sent.data]);
  }

  /** Takes a message of the inviter. After "joined" or "refused" nothing more is due. */
  receive(bytes: Uint8Array): JoinerStep {
    const step = this.#take(readMessage(bytes));
    if (step.kind !== "send") this.#due = "nothing";
    return step;
  }

  #take(message: readonly Canonical[] | null): JoinerStep {
    // Before the tags anybody can say so; it ends the attempt and nothing else.
    if (message?.[0] === REFUSED && this.#due !== "nothing") return { kind: "refused", reason: reasonOf(message[1]) };
    switch (this.#due) {
      case "share":
        return this.#takeShare(message);
      case "tag":
        return this.#takeTag(message);
      case "answer": {
        const payload = openSealed(message, 6, this.#key);
        const answer = payload === null ? null : answerOf(payload);
        return answer === null ? MISBEHAVED : { kind: "joined", answer };
      }
      case "nothing":
        return MISBEHAVED;
    }
  }

  #takeShare(message: readonly Canonical[] | null): JoinerStep {
    const heard = shareOf(message, 2, 1);
    if (heard === null || isSame(heard.share, this.#sent.share)) return MISBEHAVED;
    const key = cpaceKey(this.#inputs, this.#scalar, { initiator: this.#sent, responder: heard, other: heard.share });
    if (key === null) return MISBEHAVED;
    if (!addressesFit(this.#channel, heard.data)) return { kind: "refused", reason: "addresses" };
    this.#key = key;
    this.#heard = heard;
    this.#due = "tag";
    return { kind: "send", bytes: canonicalBytes([3, cpaceTag(key, this.#inputs.session, this.#sent)]) };
  }

  #takeTag(message: readonly Canonical[] | null): JoinerStep {
    if (this.#heard === null || !isTag(message, 4, cpaceTag(this.#key, this.#inputs.session, this.#heard))) {
      return { kind: "refused", reason: "code" };
    }
    this.#due = "answer";
    return { kind: "send", bytes: seal(5, wishBytes(this.#wish), this.#key) };
  }
}

/** The side that gave the code to a person. */
export class PairingInviter {
  readonly #book: InviteBook;
  readonly #channel: PairingChannel;
  readonly #address: string;
  readonly #random: Random;
  #due: "share" | "tag" | "wish" | "grant" | "nothing" = "share";
  #exchange: {
    readonly invitation: OpenInvitation;
    readonly session: Uint8Array;
    readonly key: Uint8Array;
    readonly heard: CpaceMessage;
    readonly sent: CpaceMessage;
  } | null = null;

  /** `address` is the joiner's without its port: tries are counted by it. */
  constructor(book: InviteBook, channel: PairingChannel, address: string, random: Random) {
    this.#book = book;
    this.#channel = channel;
    this.#address = address;
    this.#random = random;
  }

  /** Takes a message of the joiner. After "refused" nothing more is due. */
  receive(bytes: Uint8Array, nowMs: number): InviterStep {
    const step = this.#take(readMessage(bytes), nowMs);
    if (step.kind === "refused") this.#due = "nothing";
    return step;
  }

  /** The last message: what the joiner gets. Due after "wish". */
  answer(answer: JoinAnswer): Uint8Array {
    const exchange = this.#granting();
    return seal(6, answerBytes(answer), exchange.key);
  }

  /** The last message when the wish cannot be met. Due after "wish". */
  deny(): Uint8Array {
    this.#granting();
    return refusalBytes("denied");
  }

  #granting() {
    if (this.#due !== "grant" || this.#exchange === null) throw new Error("Bug: no wish is waiting for an answer");
    this.#due = "nothing";
    return this.#exchange;
  }

  #take(message: readonly Canonical[] | null, nowMs: number): InviterStep {
    switch (this.#due) {
      case "share":
        return this.#takeShare(message, nowMs);
      case "tag":
        return this.#takeTag(message, nowMs);
      case "wish":
        return this.#takeWish(message);
      case "grant":
      case "nothing":
        return refused("misbehaved");
    }
  }

  #takeShare(message: readonly Canonical[] | null, nowMs: number): InviterStep {
    const slot = message?.[1];
    const heard = shareOf(message, 1, 2);
    if (heard === null || typeof slot !== "number") return refused("misbehaved");
    const attempt = this.#book.attempt(slot, this.#address, nowMs);
    if (attempt.kind !== "open") return refused(attempt.kind === "none" ? "code" : "too-many");
    if (!addressesFit(this.#channel, heard.data)) return refused("addresses");

    const { invitation } = attempt;
    const inputs = inputsOf(invitation.code, this.#channel, { joiner: this.#channel.peer, inviter: this.#channel.own });
    const scalar = this.#random.bytes(SCALAR_BYTES);
    const sent = { share: cpaceShare(inputs, scalar), data: addressData(this.#channel) };
    const key = cpaceKey(inputs, scalar, { initiator: heard, responder: sent, other: heard.share });
    if (key === null) return refused("misbehaved");
    this.#exchange = { invitation, session: inputs.session, key, heard, sent };
    this.#due = "tag";
    return { kind: "send", bytes: canonicalBytes([2, sent.share, sent.data]) };
  }

  #takeTag(message: readonly Canonical[] | null, nowMs: number): InviterStep {
    const exchange = this.#exchange;
    // The code goes at its first guess, right or wrong, and whoever else was about to guess comes too late.
    if (exchange === null || !this.#book.spend(exchange.invitation, nowMs)) return refused("code");
    const { key, session, heard, sent } = exchange;
    if (!isTag(message, 3, cpaceTag(key, session, heard))) return { ...refused("code"), burnt: true };
    this.#due = "wish";
    return { kind: "send", bytes: canonicalBytes([4, cpaceTag(key, session, sent)]) };
  }

  #takeWish(message: readonly Canonical[] | null): InviterStep {
    const payload = this.#exchange === null ? null : openSealed(message, 5, this.#exchange.key);
    const wish = payload === null ? null : wishOf(payload);
    if (this.#exchange === null || wish === null) return refused("misbehaved");
    const { invitation } = this.#exchange;
    const roles = wish.roles ?? invitation.roles;
    if (roles.some((role) => !invitation.roles.includes(role))) return refused("roles");
    this.#due = "grant";
    return { kind: "wish", wish: { name: wish.name, roles }, invitation };
  }
}

const MISBEHAVED = { kind: "refused", reason: "misbehaved" } as const;

function refused(reason: PairingRefusal): InviterStep & { kind: "refused" } {
  return { kind: "refused", reason, bytes: refusalBytes(reason), burnt: false };
}

/** Both keys with their roles, initiator first, so that no exchange passes for one of other machines or turned round (10.1 of the draft). */
function inputsOf(
  code: InviteCode,
  channel: PairingChannel,
  { joiner, inviter }: { readonly joiner: PeerId; readonly inviter: PeerId },
): CpaceInputs {
  assert(channel.exporter.length >= 32, "a connection's exporter has 32 bytes or more");
  const text = (value: string) => new TextEncoder().encode(value);
  return {
    password: code.password,
    channel: lengthValue(text("mesh pairing 1"), Uint8Array.fromHex(joiner), Uint8Array.fromHex(inviter)),
    session: channel.exporter,
  };
}
