// The codes that are open on this machine, and the pairing with whoever comes with one. It never says which part of a code was wrong.

import { fail, MeshError } from "../../base/errors.ts";
import type { PeerId } from "../../base/ids.ts";
import { systemRandom } from "../../base/io/system.ts";
import { admitJoiner } from "../admission.ts";
import { peerIdOfCertificate } from "../certificate.ts";
import type { SignedEntry } from "../grant.ts";
import type { Identity } from "../identity.ts";
import { InviteBook, type Invitation, type OpenInvitation } from "../invite-book.ts";
import { PairingInviter, type InviterStep } from "../pairing.ts";
import type { Roster } from "../roster.ts";
import { PairingSocket } from "./pairing-socket.ts";
import type { SecureSocket } from "./secure-socket.ts";

export interface InvitingOptions {
  readonly identity: Identity;
  readonly roster: Roster;
  /** The roster holds a new member's grant. */
  readonly onAdmitted: (grant: SignedEntry) => void;
  /** Whether a code is open has changed. */
  readonly onOpenChanged: () => void;
  /** A pairing failed: a wrong code, for example. */
  readonly onRefused: (error: MeshError) => void;
}

export interface InviteOptions extends Invitation {
  /** How long the code is good; the usual time when absent. */
  readonly lifeMs?: number;
}

export interface OpenCode {
  /** As it is shown to a person. A secret. */
  readonly text: string;
  /** Unix time. */
  readonly expiresAtMs: number;
  readonly ended: Promise<CodeEnd>;
}

/** How a code ended. */
export type CodeEnd =
  | { readonly kind: "joined"; readonly peer: PeerId; readonly name: string }
  | { readonly kind: "expired" }
  /** Somebody guessed wrong. */
  | { readonly kind: "burnt" };

/** Pairings that go on at once; more are closed without a word. */
const MOST_AT_ONCE = 8;

export class Inviting implements Disposable {
  readonly #options: InvitingOptions;
  readonly #book = new InviteBook();
  readonly #ends = new Map<OpenInvitation, (end: CodeEnd) => void>();
  #pairings = 0;
  #expiry: ReturnType<typeof setTimeout> | undefined;

  constructor(options: InvitingOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#book.nextExpiryMs(performance.now()) !== null;
  }

  /** Opens a code. Throws `mesh.not-allowed` when too many are open. */
  open({ lifeMs, ...invitation }: InviteOptions): OpenCode {
    const nowMs = performance.now();
    const opened = this.#book.open(invitation, systemRandom, lifeMs === undefined ? { nowMs } : { nowMs, lifeMs });
    if (opened === null) return fail("mesh.not-allowed", "Cannot open another code: too many are open");
    const { promise, resolve } = Promise.withResolvers<CodeEnd>();
    this.#ends.set(opened, resolve);
    this.#openChanged();
    return {
      text: opened.code.text,
      expiresAtMs: Math.round(Date.now() + opened.expiresAtMs - nowMs),
      ended: promise,
    };
  }

  /** Takes a connection of a machine that wants to join. */
  take(socket: SecureSocket): void {
    const peer = peerIdOfCertificate(socket.certificate);
    if (peer === null || this.#pairings >= MOST_AT_ONCE) return socket.destroy();
    this.#pairings++;
    void this.#pair(socket)
      .catch((error: unknown) => {
        const cause =
          error instanceof MeshError ? error : new MeshError("peer.failed", "A pairing failed", { cause: error });
        this.#options.onRefused(cause);
      })
      .finally(() => {
        this.#pairings--;
        this.#openChanged();
      });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#expiry);
  }

  async #pair(socket: SecureSocket): Promise<void> {
    const { identity, roster, onAdmitted } = this.#options;
    const peer = peerIdOfCertificate(socket.certificate);
    if (peer === null) return socket.destroy();
    using pairing = new PairingSocket(socket);
    const channel = socket.pairingChannel(identity.id, peer);
    const inviter = new PairingInviter(this.#book, channel, socket.remote.host, systemRandom);
    for (;;) {
      const step: InviterStep = inviter.receive(await pairing.next(), performance.now());
      if (step.kind === "send") {
        pairing.send(step.bytes);
        continue;
      }
      if (step.kind === "refused") {
        pairing.send(step.bytes);
        const what = step.burnt ? "it guessed a wrong code, which is good no more" : step.reason;
        throw new MeshError(
          "mesh.code-refused",
          `Refused a machine at ${socket.remote.host} that wanted to join: ${what}`,
        );
      }
      const occasion = { nowMs: Date.now(), serial: systemRandom.bytes(16) };
      try {
        const answer = admitJoiner(
          roster,
          identity,
          { node: peer, wish: step.wish, invitation: step.invitation },
          occasion,
        );
        const grant = roster.entries().find(({ id }) => id === answer.grant);
        if (grant !== undefined) onAdmitted(grant);
        this.#end(step.invitation, { kind: "joined", peer, name: nameIn(grant) });
        pairing.send(inviter.answer(answer));
      } catch (error) {
        pairing.send(inviter.deny());
        throw error;
      }
      return;
    }
  }

  #end(invitation: OpenInvitation, end: CodeEnd): void {
    this.#ends.get(invitation)?.(end);
    this.#ends.delete(invitation);
  }

  #openChanged(): void {
    const nowMs = performance.now();
    for (const invitation of this.#ends.keys()) {
      // one that a pairing uses at the moment is not over
      if (this.#pairings > 0 || this.#book.isOpen(invitation, nowMs)) continue;
      this.#end(invitation, { kind: nowMs >= invitation.expiresAtMs ? "expired" : "burnt" });
    }
    clearTimeout(this.#expiry);
    const expiresAtMs = this.#book.nextExpiryMs(performance.now());
    if (expiresAtMs !== null)
      this.#expiry = setTimeout(() => this.#openChanged(), Math.max(1, expiresAtMs - performance.now()));
    this.#options.onOpenChanged();
  }
}

function nameIn(grant: SignedEntry | undefined): string {
  return grant?.entry.kind === "grant" ? grant.entry.name : "";
}
