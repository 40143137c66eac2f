// A whole pairing over a real connection of loopback.

import { expect, test } from "bun:test";
import { systemRandom } from "../../../src/base/io/system.ts";
import { acceptAnswer, admitJoiner } from "../../../src/mesh/admission.ts";
import { peerIdOfCertificate } from "../../../src/mesh/certificate.ts";
import type { Identity } from "../../../src/mesh/identity.ts";
import { InviteBook } from "../../../src/mesh/invite-book.ts";
import { type InviteCode, parseInviteCode } from "../../../src/mesh/invite-code.ts";
import { nativeSignatures } from "../../../src/mesh/io/native-signatures.ts";
import { pairingChannelOf } from "../../../src/mesh/io/pairing-channel.ts";
import { type JoinerStep, PairingInviter, PairingJoiner } from "../../../src/mesh/pairing.ts";
import { founded, machine, nextSerial, NOW_MS } from "../../fake/mesh-rosters.ts";

const ADMIN = machine(0);
const PI = machine(1);

type Link = Bun.Socket<{ take: ((bytes: Uint8Array) => void) | null }>;

function tlsOf({ certificatePem, privateKeyPem }: Identity) {
  return { cert: certificatePem, key: privateKeyPem, requestCert: true, rejectUnauthorized: false };
}

function channelOf(socket: Link, own: Identity) {
  const peer = peerIdOfCertificate(new Uint8Array((socket.getPeerCertificate() as { raw: Buffer }).raw));
  return pairingChannelOf(socket, own.id, peer!);
}

/** Messages on loopback are small and take turns: each arrives as one piece. */
const data = (socket: Link, bytes: Buffer) => socket.data.take?.(new Uint8Array(bytes));

test("pairingChannelOf() gives both ends of a connection what a pairing needs", async () => {
  const roster = founded(ADMIN);
  const book = new InviteBook();
  const open = book.open({ roles: ["worker"], memberUntilMs: null }, systemRandom, { nowMs: NOW_MS })!;
  const typed = parseInviteCode(open.code.text.toUpperCase()) as { readonly code: InviteCode };
  const ended = Promise.withResolvers<JoinerStep>();

  using listener = Bun.listen<Link["data"]>({
    hostname: "127.0.0.1",
    port: 0,
    tls: tlsOf(ADMIN),
    data: { take: null },
    socket: {
      data,
      handshake(socket) {
        const channel = channelOf(socket, ADMIN);
        const inviter = new PairingInviter(book, channel, socket.remoteAddress, systemRandom);
        socket.data = {
          take: (bytes) => {
            const step = inviter.receive(bytes, NOW_MS);
            if (step.kind !== "wish") return void socket.write(step.bytes);
            const joiner = { node: channel.peer, wish: step.wish, invitation: step.invitation };
            socket.write(inviter.answer(admitJoiner(roster, ADMIN, joiner, { nowMs: NOW_MS, serial: nextSerial() })));
          },
        };
      },
    },
  });
  const socket = await Bun.connect<Link["data"]>({
    hostname: "127.0.0.1",
    port: listener.port,
    tls: tlsOf(PI),
    data: { take: null },
    socket: {
      data,
      handshake(socket) {
        const joiner = new PairingJoiner(typed.code, channelOf(socket, PI), { name: "pi", roles: null }, systemRandom);
        socket.data = {
          take: (bytes) => {
            const step = joiner.receive(bytes);
            if (step.kind === "send") socket.write(step.bytes);
            else ended.resolve(step);
          },
        };
        socket.write(joiner.start());
      },
    },
  });
  const step = await ended.promise;
  socket.end();
  listener.stop(true);
  if (step.kind !== "joined") throw new Error(JSON.stringify(step));
  const joined = acceptAnswer(step.answer, { self: PI.id, inviter: ADMIN.id }, nativeSignatures);
  expect(joined.verdict(PI.id, NOW_MS)).toMatchObject({ kind: "member", name: "pi", roles: ["worker"] });
});

test("pairingChannelOf() writes one address in one way", () => {
  const view = (localAddress: string) => {
    const socket = { localAddress, localPort: 1, remoteAddress: "FE80::1%eth0", remotePort: 2 };
    return pairingChannelOf({ ...socket, exportKeyingMaterial: () => Buffer.alloc(32) }, PI.id, ADMIN.id).addresses;
  };
  expect(view("::ffff:10.0.0.7")).toEqual({ own: "10.0.0.7#1", peer: "fe80::1#2" });
  expect(view("10.0.0.7")).toEqual(view("::ffff:10.0.0.7"));
});
