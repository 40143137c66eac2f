// TLS between machines as strangers meet it: what is let in, what is turned away, and that nothing is left of it.

import { describe, expect, test } from "bun:test";
import type { Socket } from "bun";
import { LIMITS } from "../../../src/base/limits.ts";
import { dialTls, listenTls, type Purpose } from "../../../src/mesh/io/tls.ts";
import type { SecureSocket } from "../../../src/mesh/io/secure-socket.ts";
import { failureOf } from "../../support/failure.ts";
import { testIf } from "../../support/require.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { identityNamed } from "../../support/test-mesh.ts";

const SERVER = identityNamed("server");
const CLIENT = identityNamed("client");

/** A listener that takes what `judge` lets in, sends everything back, and counts. */
function echoServer({
  judge = () => true,
  handshakeMs,
}: { judge?: (purpose: Purpose) => boolean; handshakeMs?: number } = {}) {
  const accepted: { readonly certificate: Uint8Array; readonly purpose: Purpose }[] = [];
  const sockets: SecureSocket[] = [];
  const listener = listenTls({
    identity: SERVER,
    hostname: "127.0.0.1",
    port: 0,
    ...(handshakeMs === undefined ? {} : { handshakeMs }),
    accept: (socket, purpose) => {
      accepted.push({ certificate: socket.certificate, purpose });
      sockets.push(socket);
      socket.listen({
        received: (bytes) => socket.write(new Uint8Array(bytes)),
        flushed: () => undefined,
        closed: () => undefined,
      });
      return judge(purpose);
    },
  });
  const stop = (): void => {
    listener.stop();
    for (const socket of sockets) socket.destroy();
  };
  return { port: listener.port, accepted, [Symbol.dispose]: stop };
}

/** Connects as a member would, and gives what comes back for some bytes, or "closed". */
async function echoOf(port: number, purpose: Purpose = "control"): Promise<string> {
  const socket = await dial(port, purpose);
  return await new Promise((resolve) => {
    let got = "";
    socket.listen({
      received: (bytes) => {
        got += Buffer.from(bytes).toString();
        if (got === "hello") socket.end();
      },
      flushed: () => undefined,
      closed: () => resolve(got === "" ? "closed" : got),
    });
    socket.write(Buffer.from("hello"));
  });
}

async function dial(port: number, purpose: Purpose = "control"): Promise<SecureSocket> {
  const address = { host: "127.0.0.1", port };
  return await dialTls({
    identity: CLIENT,
    address,
    purpose,
    expect: () => true,
    signal: new AbortController().signal,
  });
}

interface Raw {
  readonly socket: Socket;
  readonly closed: Promise<void>;
}

/** A plain TCP connection. */
async function rawConnection(port: number): Promise<Raw> {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const handlers = { data: () => undefined, close: () => resolve(), error: () => resolve() };
  return { socket: await Bun.connect({ hostname: "127.0.0.1", port, socket: handlers }), closed };
}

describe("dialTls() and listenTls()", () => {
  test("meet: both see the other's certificate, and the purpose", async () => {
    using server = echoServer();
    expect(await echoOf(server.port, "bulk")).toBe("hello");
    expect(await echoOf(server.port, "join")).toBe("hello");
    expect(server.accepted.map(({ purpose }) => purpose)).toEqual(["bulk", "join"]);
    expect(Buffer.from(server.accepted[0]!.certificate).toString("base64")).toBe(
      CLIENT.certificatePem.replaceAll(/-----[^-]*-----|\s/g, ""),
    );
  });

  test("share a secret of each connection that no other connection has", async () => {
    const bindings: string[] = [];
    const listener = listenTls({
      identity: SERVER,
      hostname: "127.0.0.1",
      port: 0,
      accept: (socket) => {
        bindings.push(socket.channelBinding().toHex());
        return true;
      },
    });
    const mine: string[] = [];
    for (let n = 0; n < 2; n++) {
      const socket = await dial(listener.port);
      mine.push(socket.channelBinding().toHex());
      const { promise, resolve } = Promise.withResolvers<void>();
      socket.listen({ received: () => undefined, flushed: () => undefined, closed: () => resolve() });
      socket.end();
      await promise;
    }
    listener.stop();
    expect(bindings).toEqual(mine);
    expect(new Set(mine).size).toBe(2);
  });

  test("carry bulk both ways without losing a byte, and count what waits", async () => {
    using server = echoServer();
    const socket = await dial(server.port);
    const sent = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31 + (index >> 8)) % 256);
    const hasher = { sent: new Bun.CryptoHasher("sha256"), got: new Bun.CryptoHasher("sha256") };
    const most = 20_000_000;
    const { promise, resolve } = Promise.withResolvers<void>();
    let gotBytes = 0;
    let sentBytes = 0;
    let mostQueued = 0;
    const send = (queuedBytes: number): void => {
      mostQueued = Math.max(mostQueued, queuedBytes);
      for (let free = 1_000_000 - queuedBytes; free > 0 && sentBytes < most; free -= sent.length) {
        const piece = sent.subarray(0, 1 + (sentBytes % 299_999));
        sentBytes += piece.length;
        hasher.sent.update(piece);
        socket.write(piece.subarray(0, 100));
        socket.write(piece.subarray(100));
      }
    };
    socket.listen({
      received: (bytes) => {
        gotBytes += bytes.length;
        hasher.got.update(bytes);
        if (gotBytes === sentBytes && sentBytes >= most) resolve();
      },
      flushed: send,
      closed: () => resolve(),
    });
    send(0);
    await promise;
    socket.destroy();
    expect(gotBytes).toBe(sentBytes);
    expect(hasher.got.digest("hex")).toBe(hasher.sent.digest("hex"));
    expect(mostQueued).toBeLessThan(1_400_000);
  }, 20_000);

  test("a certificate that is not expected: the dial fails before ours is shown", async () => {
    using server = echoServer();
    const address = { host: "127.0.0.1", port: server.port };
    const signal = new AbortController().signal;
    expect(
      (await failureOf(dialTls({ identity: CLIENT, address, purpose: "control", expect: () => false, signal })))
        .message,
    ).toStartWith(`Another machine than expected answers at 127.0.0.1:${server.port}`);
    expect(await echoOf(server.port)).toBe("hello");
    expect(server.accepted).toHaveLength(1);
  });

  test("what is not accepted is closed without a byte", async () => {
    using server = echoServer({ judge: (purpose) => purpose === "bulk" });
    expect(await echoOf(server.port, "control")).toBe("closed");
    expect(await echoOf(server.port, "bulk")).toBe("hello");
  });

  test("a port that is taken cannot be listened on", () => {
    using server = echoServer();
    expect(() =>
      listenTls({ identity: SERVER, hostname: "127.0.0.1", port: server.port, accept: () => false }),
    ).toThrow(`Cannot listen on 127.0.0.1:${server.port}`);
  });

  test("a server that speaks no TLS, or closes, is no machine of a mesh", async () => {
    using plain = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n") },
    });
    expect((await failureOf(dial(plain.port))).message).toStartWith(`Cannot reach 127.0.0.1:${plain.port}`);
  });
});

describe("listenTls() against strangers", () => {
  test("bytes that are no TLS close the connection, and others are served", async () => {
    using server = echoServer();
    for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "\u0016\u0003\u0001\u0002\u0000\u0001", "\0".repeat(5_000)]) {
      const { socket, closed } = await rawConnection(server.port);
      socket.write(bytes);
      socket.end();
      await closed;
    }
    expect(server.accepted).toEqual([]);
    expect(await echoOf(server.port)).toBe("hello");
  });

  test("one that shows no certificate is not accepted", async () => {
    using server = echoServer();
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    let got = 0;
    await Bun.connect({
      hostname: "127.0.0.1",
      port: server.port,
      tls: { rejectUnauthorized: false, ALPNProtocols: "\u0006mesh/1" },
      socket: {
        handshake: (socket) => void socket.write("hello"),
        data: () => void got++,
        close: () => resolve(),
        error: () => undefined,
      },
    });
    await closed;
    expect([got, server.accepted.length]).toEqual([0, 0]);
  });

  test("one that names no purpose is not accepted", async () => {
    using server = echoServer();
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    await Bun.connect({
      hostname: "127.0.0.1",
      port: server.port,
      tls: { rejectUnauthorized: false, cert: CLIENT.certificatePem, key: CLIENT.privateKeyPem },
      socket: { data: () => undefined, close: () => resolve(), error: () => undefined },
    });
    await closed;
    expect(server.accepted).toEqual([]);
  });

  test("one that says nothing is closed after its time, and one address holds only so many", async () => {
    using server = echoServer({ handshakeMs: 300 });
    const opened = await Promise.all(
      Array.from({ length: LIMITS.halfOpenPerAddress + 10 }, async () => await rawConnection(server.port)),
    );
    // Those over the limit go at once, the others when their time is up.
    await Promise.all(opened.map(async ({ closed }) => await closed));
    expect(server.accepted).toEqual([]);
    expect(await echoOf(server.port)).toBe("hello");
  });

  test("a recorded conversation, played again on another connection, is not accepted", async () => {
    using server = echoServer();
    const recorded: Uint8Array[] = [];
    // A relay that keeps what the client sends.
    const ends = new Map<Socket, Promise<Socket>>();
    using relay = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (near) => {
          const handlers = {
            data: (_: unknown, bytes: Uint8Array) => void near.write(bytes),
            close: () => void near.end(),
            error: () => undefined,
          };
          ends.set(near, Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: handlers }));
        },
        data: async (near, bytes) => {
          recorded.push(new Uint8Array(bytes));
          (await ends.get(near))?.write(bytes);
        },
        close: async (near) => void (await ends.get(near))?.end(),
        error: () => undefined,
      },
    });
    expect(await echoOf(relay.port)).toBe("hello");
    expect(server.accepted).toHaveLength(1);
    const { socket, closed } = await rawConnection(server.port);
    for (const bytes of recorded) socket.write(bytes);
    await closed;
    expect(server.accepted).toHaveLength(1);
  });

  testIf("openssl", "openssl reaches it by TLS 1.3 alone", async () => {
    using server = echoServer();
    expect(await sClient(server.port, "-tls1_2")).toContain("alert protocol version");
    expect(await sClient(server.port, "-tls1_3")).toContain("Protocol version: TLSv1.3");
  });

  testIf(
    "openssl",
    "a certificate of another kind gets through the handshake, and is judged by whoever accepts",
    async () => {
      using folder = temporaryFolder();
      const [key, certificate] = [`${folder.path}/key.pem`, `${folder.path}/cert.pem`];
      for (const kind of [["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], ["rsa:2048"]]) {
        const argv = [
          "openssl",
          "req",
          "-x509",
          "-newkey",
          ...kind,
          "-nodes",
          "-subj",
          "/CN=x",
          "-keyout",
          key,
          "-out",
          certificate,
        ];
        expect(Bun.spawnSync(argv, { stderr: "ignore" }).exitCode).toBe(0);
        const { peerIdOfCertificate } = await import("../../../src/mesh/certificate.ts");
        const judged: unknown[] = [];
        const listener = listenTls({
          identity: SERVER,
          hostname: "127.0.0.1",
          port: 0,
          accept: (socket) => {
            judged.push(peerIdOfCertificate(socket.certificate));
            return judged.at(-1) !== null;
          },
        });
        const said = await sClient(listener.port, "-tls1_3", "-cert", certificate, "-key", key);
        listener.stop();
        expect(said).toContain("TLSv1.3");
        expect(judged).toEqual([null]);
      }
    },
  );

  async function sClient(port: number, ...options: readonly string[]): Promise<string> {
    const argv = [
      "timeout",
      "10",
      "openssl",
      "s_client",
      "-connect",
      `127.0.0.1:${port}`,
      "-alpn",
      "mesh/1",
      "-brief",
      ...options,
    ];
    const child = Bun.spawn(argv, { stdin: new Blob(["hello\n"]), stdout: "ignore", stderr: "pipe" });
    const text = await child.stderr.text();
    await child.exited;
    return text;
  }
});
