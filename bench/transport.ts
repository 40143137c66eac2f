// What connections between machines cost, over loopback between two processes: a call, words, a stream of bytes beside plain Bun
// sockets that do the same, and a call while bulk streams fill the line. Rounds of all contenders are mixed.

import type { PeerId } from "../src/base/ids.ts";
import type { Links } from "../src/mesh/io/links.ts";
import { streamFrom } from "../src/mesh/stream-from.ts";
import { median, type Row } from "./row.ts";
import { benchIdentity, benchLinks, cpuMicros, MIB, type PeerPorts, PLAIN_BYTES } from "./transport-peer.ts";

const TIMES = { timeoutMs: 60_000 };
const CALLS = 2_000;
const WORDS = 100_000;
const ROUNDS = 5;

interface World {
  readonly near: Links;
  readonly far: PeerId;
  readonly ports: PeerPorts;
}

export async function transportRows(): Promise<readonly Row[]> {
  const peer = Bun.spawn([process.execPath, new URL("transport-peer.ts", import.meta.url).pathname], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const near = benchLinks("near");
  try {
    const ports = JSON.parse(await firstLine(peer.stdout)) as PeerPorts;
    const far = benchIdentity("far").id;
    await near.connect(far, { host: "127.0.0.1", port: ports.mesh });
    const world = { near, far, ports };
    return [...(await callRows(world)), await wordRow(world), ...(await streamRows(world)), await loadedRow(world)];
  } finally {
    await near.close();
    void peer.stdin.end();
    await peer.exited;
  }
}

async function callRows({ near, far, ports }: World): Promise<readonly Row[]> {
  const echo = await tlsEcho(ports.echo);
  const call = async (): Promise<unknown> => await near.call(far, "echo", { key: "value", count: 1 }, TIMES);
  for (let count = 0; count < CALLS; count++) await call();
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let count = 0; count < CALLS; count++) {
    ours.push(await timed(call));
    theirs.push(await timed(echo.once));
  }
  echo.end();
  const before = cpuMicros() + ((await near.call(far, "cpu", null, TIMES)) as number);
  for (let count = 0; count < CALLS; count += 20) await Promise.all(Array.from({ length: 20 }, call));
  const cpu = (cpuMicros() + ((await near.call(far, "cpu", null, TIMES)) as number) - before) / CALLS;
  const other = { name: "Bun TLS echo", value: median(theirs) * 1_000 };
  return [
    { what: "call to a peer, round trip", ours: median(ours) * 1_000, unit: "µs", other, most: null },
    { what: "call to a peer, CPU of both ends", ours: cpu, unit: "µs", other: null, most: null },
  ];
}

async function wordRow({ near, far }: World): Promise<Row> {
  const ms = await timed(async () => {
    for (let said = 0; said < WORDS;) {
      if (near.tell(far, "word", { count: said, text: "hello" })) said++;
      else await new Promise((resolve) => setImmediate(resolve));
    }
    while ((await near.call(far, "words", null, TIMES)) !== WORDS);
  });
  return { what: "100,000 words to a peer", ours: ms, unit: "ms", other: null, most: null };
}

async function streamRows(world: World): Promise<readonly Row[]> {
  const [ours, tls, tcp]: [number[], number[], number[]] = [[], [], []];
  await streamed(world, 64);
  for (let round = 0; round < ROUNDS; round++) {
    tls.push(await timed(async () => await plain(world.ports.tls, true)));
    ours.push(await timed(async () => await streamed(world, PLAIN_BYTES / MIB)));
    tcp.push(await timed(async () => await plain(world.ports.tcp, false)));
  }
  const row = { what: "512 MiB from a peer, to memory", ours: median(ours), unit: "ms" } as const;
  return [
    { ...row, other: { name: "Bun TLS", value: median(tls) }, most: 1.18 },
    { ...row, other: { name: "Bun TCP", value: median(tcp) }, most: null },
  ];
}

async function loadedRow(world: World): Promise<Row> {
  const call = async (): Promise<unknown> => await world.near.call(world.far, "echo", 1, TIMES);
  const idle = await medianCall(call);
  const over = new AbortController();
  const load = async (): Promise<void> => {
    while (!over.signal.aborted) await streamed(world, 256);
  };
  const loads = [load(), load()];
  const loaded = await medianCall(call);
  over.abort();
  await Promise.all(loads);
  const other = { name: "idle", value: idle };
  return { what: "call while two streams fill the line", ours: loaded, unit: "ms", other, most: null };
}

async function medianCall(call: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < 300; count++) times.push(await timed(call));
  return median(times);
}

async function streamed({ near, far }: World, mebibytes: number): Promise<void> {
  let bytes = 0;
  for await (const piece of streamFrom(near, far, { method: "bytes", params: mebibytes }, TIMES)) bytes += piece.length;
  if (bytes !== mebibytes * MIB) throw new Error(`${bytes} bytes came`);
}

/** Reads what a plain source sends. */
async function plain(port: number, isTls: boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let bytes = 0;
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    ...(isTls ? { tls: { rejectUnauthorized: false } } : {}),
    socket: {
      open: (socket) => {
        if (!isTls) socket.write("go");
      },
      handshake: (socket) => void socket.write("go"),
      data: (_, piece) => {
        bytes += piece.length;
      },
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  await promise;
  if (bytes !== PLAIN_BYTES) throw new Error(`${bytes} bytes came`);
}

/** A TLS connection that sends back what it gets. */
async function tlsEcho(port: number): Promise<{ readonly once: () => Promise<void>; readonly end: () => void }> {
  const ready = Promise.withResolvers<void>();
  let wake = (): void => undefined;
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    tls: { rejectUnauthorized: false },
    socket: { handshake: () => ready.resolve(), data: () => wake() },
  });
  await ready.promise;
  const once = async (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    socket.write("some bytes, as many as a call has");
    await promise;
  };
  return { once, end: () => void socket.end() };
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await act();
  return performance.now() - before;
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    if (text.includes("\n")) return text;
  }
  throw new Error("The other end did not start");
}
