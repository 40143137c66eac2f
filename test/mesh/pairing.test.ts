import { describe, expect, test } from "bun:test";
import { type Canonical, canonicalBytes, parseCanonical } from "../../src/base/canonical.ts";
import { systemRandom } from "../../src/base/io/system.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { acceptAnswer, admitJoiner } from "../../src/mesh/admission.ts";
import { type Invitation, InviteBook, type OpenInvitation } from "../../src/mesh/invite-book.ts";
import { type InviteCode, makeInviteCode } from "../../src/mesh/invite-code.ts";
import { nativeSignatures } from "../../src/mesh/io/native-signatures.ts";
import { type InviterStep, PairingInviter, PairingJoiner } from "../../src/mesh/pairing.ts";
import type { JoinWish, PairingChannel } from "../../src/mesh/pairing-message.ts";
import { admit, founded, machine, nextSerial, NOW_MS } from "../fake/mesh-rosters.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

const ADMIN = machine(0);
const PI = machine(1);
const MALLORY = machine(2);
const EXPORTER = new Uint8Array(32).fill(9);
const INVITATION: Invitation = { roles: ["worker", "submitter"], memberUntilMs: null };
const WISH: JoinWish = { name: "pi", roles: null };

function channel(own = PI, peer = ADMIN, more: Partial<PairingChannel> = {}): PairingChannel {
  const addresses = { own: `${own.id.slice(0, 4)}:1`, peer: `${peer.id.slice(0, 4)}:1` };
  return { own: own.id, peer: peer.id, exporter: EXPORTER, addresses, ...more };
}

function invited(invitation = INVITATION): { readonly book: InviteBook; readonly open: OpenInvitation } {
  const book = new InviteBook();
  return { book, open: book.open(invitation, systemRandom, { nowMs: NOW_MS })! };
}

/** A code of the same slot with another secret. */
function wrong(code: InviteCode): InviteCode {
  return makeInviteCode(code.slot, Uint8Array.of(0, 1, 2, 3, 4));
}

function inviterOf(book: InviteBook, view = channel(ADMIN, PI), address = "10.0.0.7"): PairingInviter {
  return new PairingInviter(book, view, address, systemRandom);
}

function joinerOf(code: InviteCode, view = channel(), wish = WISH): PairingJoiner {
  return new PairingJoiner(code, view, wish, systemRandom);
}

function sent(step: { readonly kind: string; readonly bytes?: Uint8Array }): Uint8Array {
  if (step.kind !== "send" || step.bytes === undefined) throw new Error(`Not sent: ${JSON.stringify(step)}`);
  return step.bytes;
}

/** Runs both to the wish, or to the first refusal. */
function agree(joiner: PairingJoiner, inviter: PairingInviter): InviterStep | ReturnType<PairingJoiner["receive"]> {
  let message = joiner.start();
  for (;;) {
    const answer = inviter.receive(message, NOW_MS);
    if (answer.kind !== "send") return answer;
    const reply = joiner.receive(answer.bytes);
    if (reply.kind !== "send") return reply;
    message = reply.bytes;
  }
}

describe("two honest machines", () => {
  test("the joiner becomes a member under the name it wished for, with the roles of the code", () => {
    const roster = founded(ADMIN);
    admit(roster, { by: ADMIN, node: machine(7), name: "pi" });
    const { book, open } = invited({ roles: ["worker"], memberUntilMs: NOW_MS + 1_000 });
    const [joiner, inviter] = [joinerOf(open.code), inviterOf(book)];
    const step = agree(joiner, inviter);
    if (step.kind !== "wish") throw new Error(step.kind);
    expect(step.wish).toEqual({ name: "pi", roles: ["worker"] });

    const { wish, invitation } = step;
    const given = admitJoiner(
      roster,
      ADMIN,
      { node: PI.id, wish, invitation },
      { nowMs: NOW_MS, serial: nextSerial() },
    );
    const last = joiner.receive(inviter.answer(given));
    if (last.kind !== "joined") throw new Error(last.kind);
    const joined = acceptAnswer(last.answer, { self: PI.id, inviter: ADMIN.id }, nativeSignatures);
    expect(joined.verdict(PI.id, NOW_MS)).toMatchObject({ kind: "member", name: "pi-2", roles: ["worker"] });
    expect(joined.members(NOW_MS)).toEqual(roster.members(NOW_MS));
    expect(book.attempt(open.code.slot, "x", NOW_MS).kind).toBe("none");
  });

  test("the joiner may ask for less than the code gives, not for more", () => {
    const less = invited();
    const asked = agree(
      joinerOf(less.open.code, channel(), { name: "pi", roles: ["submitter"] }),
      inviterOf(less.book),
    );
    expect(asked).toMatchObject({ kind: "wish", wish: { roles: ["submitter"] } });
    const more = invited();
    const refused = agree(joinerOf(more.open.code, channel(), { name: "pi", roles: ["admin"] }), inviterOf(more.book));
    expect(refused).toMatchObject({ kind: "refused", reason: "roles" });
  });

  test("the inviter may deny", () => {
    const { book, open } = invited();
    const [joiner, inviter] = [joinerOf(open.code), inviterOf(book)];
    agree(joiner, inviter);
    expect(joiner.receive(inviter.deny())).toEqual({ kind: "refused", reason: "denied" });
    expect(() => inviter.deny()).toThrow("Bug");
  });

  test("neither the code nor what follows from it alone is in a message", () => {
    const { book, open } = invited();
    const [joiner, inviter] = [joinerOf(open.code), inviterOf(book)];
    const first = joiner.start();
    const second = sent(inviter.receive(first, NOW_MS));
    const third = sent(joiner.receive(second));
    const all = Buffer.concat([first, second, third, sent(inviter.receive(third, NOW_MS))]);
    const secret = open.code.text.replaceAll("-", "");
    for (const form of [secret, open.code.text, secret.slice(1), secret.slice(1, 8)])
      expect(all.includes(form)).toBe(false);
    expect(all.includes(new Bun.CryptoHasher("sha256").update(secret).digest())).toBe(false);
    expect(all.includes(new Bun.CryptoHasher("sha512").update(secret).digest())).toBe(false);
  });
});

describe("guessing", () => {
  test("a wrong guess burns the code, also for the one who has the right one", () => {
    const { book, open } = invited();
    const honest = joinerOf(open.code);
    const served = inviterOf(book);
    const second = sent(served.receive(honest.start(), NOW_MS));
    expect(agree(joinerOf(wrong(open.code)), inviterOf(book))).toMatchObject({
      kind: "refused",
      reason: "code",
      burnt: true,
    });
    expect(served.receive(sent(honest.receive(second)), NOW_MS)).toMatchObject({ reason: "code", burnt: false });
    expect(agree(joinerOf(open.code), inviterOf(book))).toMatchObject({
      kind: "refused",
      reason: "code",
      burnt: false,
    });
  });

  test("what is no tag is a wrong guess as well", () => {
    const { book, open } = invited();
    const inviter = inviterOf(book);
    inviter.receive(joinerOf(open.code).start(), NOW_MS);
    expect(inviter.receive(new Uint8Array(3), NOW_MS)).toMatchObject({ kind: "refused", burnt: true });
    expect(book.attempt(open.code.slot, "x", NOW_MS).kind).toBe("none");
  });

  test("who breaks off before its tag has had no guess, and the code stays", () => {
    const { book, open } = invited();
    inviterOf(book).receive(joinerOf(wrong(open.code)).start(), NOW_MS);
    expect(agree(joinerOf(open.code), inviterOf(book)).kind).toBe("wish");
  });

  test("tries are limited, and an expired code is like none", () => {
    const { book, open } = invited();
    const first = joinerOf(wrong(open.code)).start();
    for (let count = 0; count < LIMITS.pairingsPerAddress; count++) inviterOf(book).receive(first, NOW_MS);
    expect(inviterOf(book).receive(first, NOW_MS)).toMatchObject({ kind: "refused", reason: "too-many", burnt: false });
    const late = inviterOf(invited().book, channel(ADMIN, PI), "other");
    expect(late.receive(first, NOW_MS + LIMITS.inviteMs)).toMatchObject({ kind: "refused", reason: "code" });
  });

  test("a code that expires between share and tag is gone", () => {
    const { book, open } = invited();
    const [joiner, inviter] = [joinerOf(open.code), inviterOf(book)];
    const tag = sent(joiner.receive(sent(inviter.receive(joiner.start(), NOW_MS))));
    expect(inviter.receive(tag, NOW_MS + LIMITS.inviteMs)).toMatchObject({ kind: "refused", reason: "code" });
  });
});

describe("a man in the middle", () => {
  test("who relays between two connections of its own fails: keys, then exporters differ", () => {
    const views: readonly [PairingChannel, PairingChannel][] = [
      [channel(PI, MALLORY), channel(ADMIN, MALLORY)],
      [channel(PI, ADMIN), channel(ADMIN, PI, { exporter: new Uint8Array(32).fill(8) })],
      [channel(PI, MALLORY), channel(ADMIN, PI)],
      [channel(PI, ADMIN), channel(ADMIN, MALLORY)],
    ];
    for (const [atJoiner, atInviter] of views) {
      const { book, open } = invited();
      const [left, right] = [
        { ...atJoiner, addresses: null },
        { ...atInviter, addresses: null },
      ];
      const step = agree(joinerOf(open.code, left), inviterOf(book, right));
      expect(step).toMatchObject({ kind: "refused", reason: "code", burnt: true });
    }
  });

  test("a false inviter that does not know the code learns one tag and no wish", () => {
    const { open } = invited();
    const joiner = joinerOf(open.code);
    const other = new PairingInviter(bookWith(wrong(open.code)), channel(ADMIN, PI), "x", systemRandom);
    const tag = sent(joiner.receive(sent(other.receive(joiner.start(), NOW_MS))));
    expect(other.receive(tag, NOW_MS)).toMatchObject({ kind: "refused" });
    const forged = canonicalBytes([4, new Uint8Array(64)]);
    expect(joiner.receive(forged)).toEqual({ kind: "refused", reason: "code" });
    expect(joiner.receive(forged)).toEqual({ kind: "refused", reason: "misbehaved" });
  });

  test("messages that come back, or come again, are refused", () => {
    const { book, open } = invited();
    const joiner = joinerOf(open.code);
    const first = joiner.start();
    const [, slot, share, data] = parseCanonical(first) as [number, number, Uint8Array, Uint8Array];
    expect(slot).toBe(open.code.slot);
    expect(joinerOf(open.code).receive(first)).toEqual({ kind: "refused", reason: "misbehaved" });
    expect(joiner.receive(canonicalBytes([2, share, data]))).toEqual({ kind: "refused", reason: "misbehaved" });

    const [other, inviter] = [joinerOf(open.code), inviterOf(book)];
    const second = sent(inviter.receive(other.start(), NOW_MS));
    const third = sent(other.receive(second));
    const [, tag] = parseCanonical(third) as [number, Uint8Array];
    expect(other.receive(canonicalBytes([4, tag]))).toEqual({ kind: "refused", reason: "code" });
    // A whole conversation that was overheard is worth nothing at another inviter's, whose share is another.
    const again = new PairingInviter(bookWith(open.code), channel(ADMIN, PI), "y", systemRandom);
    again.receive(first, NOW_MS);
    expect(again.receive(third, NOW_MS)).toMatchObject({ kind: "refused", reason: "code", burnt: true });
  });

  test("shares that are neutral, or no elements, end the exchange without a guess", () => {
    const bad = [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(31), new Uint8Array(33)];
    bad.push(Uint8Array.fromHex("2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c"));
    const data = canonicalBytes(null);
    for (const share of bad) {
      const { book, open } = invited();
      const first = canonicalBytes([1, open.code.slot, share, data]);
      expect(inviterOf(book).receive(first, NOW_MS)).toMatchObject({ reason: "misbehaved", burnt: false });
      expect(joinerOf(open.code).receive(canonicalBytes([2, share, data])).kind).toBe("refused");
      expect(agree(joinerOf(open.code), inviterOf(book)).kind).toBe("wish");
    }
  });

  test("a wish or an answer that was changed is refused", () => {
    const { book, open } = invited();
    const [joiner, inviter] = [joinerOf(open.code), inviterOf(book)];
    const second = sent(inviter.receive(joiner.start(), NOW_MS));
    const fourth = sent(inviter.receive(sent(joiner.receive(second)), NOW_MS));
    const wish = sent(joiner.receive(fourth));
    const [kind, payload, mac] = parseCanonical(wish) as [number, Uint8Array, Uint8Array];
    const fields = parseCanonical(payload) as Record<string, Canonical>;
    const changed = canonicalBytes([kind, canonicalBytes({ ...fields, name: "evil" }), mac]);
    expect(inviter.receive(changed, NOW_MS)).toMatchObject({ kind: "refused", reason: "misbehaved" });
    // The wish's own MAC does not pass as an answer's.
    expect(joiner.receive(canonicalBytes([6, payload, mac]))).toEqual({ kind: "refused", reason: "misbehaved" });
  });
});

describe("addresses", () => {
  test("two ends that see other addresses stop before anything is guessed", () => {
    const { book, open } = invited();
    const translated = channel(ADMIN, PI, { addresses: { own: "10.0.0.1:7433", peer: "192.168.0.1:999" } });
    expect(agree(joinerOf(open.code), inviterOf(book, translated))).toMatchObject({
      reason: "addresses",
      burnt: false,
    });
    expect(agree(joinerOf(open.code), inviterOf(book)).kind).toBe("wish");
  });

  test("a joiner notices as well, and one that knows of a translation does without", () => {
    const { book, open } = invited();
    const blind = { ...channel(ADMIN, PI), addresses: null };
    const lying = channel(PI, ADMIN, { addresses: { own: "a:1", peer: "b:2" } });
    expect(agree(joinerOf(open.code, lying), inviterOf(book, blind)).kind).toBe("wish");
    const next = invited();
    const odd = channel(ADMIN, PI, { addresses: { own: "c:1", peer: "b:2" } });
    const joiner = joinerOf(next.open.code, { ...channel(), addresses: null });
    expect(agree(joiner, inviterOf(next.book, odd)).kind).toBe("wish");
  });
});

describe("damaged messages", () => {
  function damage(source: Uint8Array, random: SeededRandom): Uint8Array {
    const damaged = source.slice(0, random.chance(0.3) ? random.below(source.length) : undefined);
    const count = 1 + random.below(3);
    for (let done = 0; done < count && damaged.length > 0; done++)
      damaged[random.below(damaged.length)] = random.below(256);
    return damaged;
  }

  test("10,000 first messages end in a refusal", () => {
    const random = new SeededRandom(6);
    const first = joinerOf(invited().open.code).start();
    const reasons = new Set<string>();
    for (let round = 0; round < 10_000; round++) {
      // A book with nothing open: what has the right form costs no multiplication.
      const step = inviterOf(new InviteBook()).receive(damage(first, random), NOW_MS);
      reasons.add(step.kind === "refused" ? step.reason : step.kind);
    }
    expect([...reasons].toSorted()).toEqual(["code", "misbehaved"]);
  });

  test("later ones end in a refusal on either side, at every step", () => {
    const random = new SeededRandom(7);
    const kinds = new Set<string>();
    for (let round = 0; round < 100; round++) {
      const { book, open } = invited();
      const [joiner, inviter] = [joinerOf(open.code), inviterOf(book)];
      const second = sent(inviter.receive(joiner.start(), NOW_MS));
      const third = sent(joiner.receive(second));
      const step = random.below(3);
      const isSame = (bad: Uint8Array, good: Uint8Array) => Buffer.compare(bad, good) === 0;
      if (step === 0) {
        const bad = damage(third, random);
        if (!isSame(bad, third)) kinds.add(inviter.receive(bad, NOW_MS).kind);
        continue;
      }
      const fourth = sent(inviter.receive(third, NOW_MS));
      const bad = damage(fourth, random);
      if (step === 1 && !isSame(bad, fourth)) kinds.add(joiner.receive(bad).kind);
      if (step === 1) continue;
      const fifth = sent(joiner.receive(fourth));
      const badWish = damage(fifth, random);
      if (!isSame(badWish, fifth)) kinds.add(inviter.receive(badWish, NOW_MS).kind);
    }
    expect([...kinds]).toEqual(["refused"]);
  });

  test("one that is too large is not looked at", () => {
    const huge = new Uint8Array(LIMITS.pairingMessageBytes + 1);
    expect(joinerOf(invited().open.code).receive(huge)).toEqual({ kind: "refused", reason: "misbehaved" });
    expect(inviterOf(new InviteBook()).receive(huge, NOW_MS)).toMatchObject({ kind: "refused", reason: "misbehaved" });
  });
});

/** A book in which exactly this code is open. */
function bookWith(code: InviteCode): InviteBook {
  const book = new InviteBook();
  const symbols = code.text.replaceAll("-", "").slice(1, 8);
  let bits = 0n;
  for (const char of symbols.split("").reverse())
    bits = (bits << 5n) | BigInt("0123456789abcdefghjkmnpqrstvwxyz".indexOf(char));
  const secret = Uint8Array.from({ length: 5 }, (_, index) => Number((bits >> BigInt(8 * (4 - index))) & 255n));
  book.open(INVITATION, { bytes: (length) => (length === 1 ? Uint8Array.of(code.slot) : secret) }, { nowMs: NOW_MS });
  return book;
}
