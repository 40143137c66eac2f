// The same content to several machines by BitTorrent, with aria2 and a tracker that only names the peers: what our own spreading is
// compared with.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Lan } from "./lan.ts";

const PIECE_BYTES = 1 << 20;
const PORT = 6881;
const TRACKER_PORT = 6969;

if (import.meta.main) serveTracker(process.argv.slice(2));

/** Milliseconds until the last machine but the first has the file `large` of the folder's first machine. */
export async function seedAndLeech(lan: Lan, folder: string, bytes: number): Promise<number> {
  const source = `${folder}/seed`;
  mkdirSync(source);
  const block = crypto.getRandomValues(new Uint8Array(65_536));
  const data = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += block.length) {
    new DataView(block.buffer).setUint32(0, at / block.length);
    data.set(block, at);
  }
  await Bun.write(`${source}/blob`, data);
  await Bun.write(`${folder}/blob.torrent`, torrentOf(data));
  const addresses = lan.lines.map(({ address }) => address);
  const script = join(import.meta.dir, "torrent.ts");
  const tracker = Bun.spawn(lan.on(-1, [process.execPath, script, ...addresses]), {
    stdout: "pipe",
    stderr: "inherit",
  });
  await tracker.stdout.getReader().read();
  const seed = Bun.spawn(lan.on(0, aria(folder, source, ["--check-integrity=true", "--seed-ratio=0.0"])), {
    stdout: "ignore",
    stderr: "inherit",
  });
  try {
    await Bun.sleep(4_000);
    const started = performance.now();
    const leeches = addresses.slice(1).map((_, at) => {
      const target = `${folder}/leech-${at}`;
      mkdirSync(target);
      // It goes on seeding for the others when it is complete.
      return Bun.spawn(lan.on(at + 1, aria(folder, target, ["--seed-ratio=0.0", "--console-log-level=notice"])), {
        stdout: "pipe",
        stderr: "inherit",
      });
    });
    await Promise.all(leeches.map((leech) => untilComplete(leech.stdout)));
    const elapsed = performance.now() - started;
    for (const leech of leeches) leech.kill();
    for (const leech of leeches) await leech.exited;
    return elapsed;
  } finally {
    for (const child of [seed, tracker]) {
      child.kill();
      await child.exited;
    }
  }
}

async function untilComplete(output: ReadableStream<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of output) {
    text = (text + decoder.decode(piece)).slice(-4_096);
    if (/Download complete|SEED\(/.test(text)) return;
  }
  throw new Error("aria2c ended before it was complete");
}

function aria(folder: string, directory: string, more: readonly string[]): string[] {
  return [
    "aria2c",
    `--dir=${directory}`,
    `--listen-port=${PORT}`,
    "--enable-dht=false",
    "--bt-enable-lpd=false",
    "--enable-peer-exchange=true",
    "--file-allocation=none",
    "--bt-max-peers=0",
    "--bt-tracker-interval=1",
    "--bt-request-peer-speed-limit=1000M",
    "--summary-interval=1",
    "--allow-overwrite=true",
    ...more,
    `${folder}/blob.torrent`,
  ];
}

/** A torrent of one file (BEP 3). */
function torrentOf(data: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += PIECE_BYTES)
    pieces.push(Bun.SHA1.hash(data.subarray(at, at + PIECE_BYTES)) as Uint8Array);
  const announce = `http://10.77.0.254:${TRACKER_PORT}/announce`;
  const info = `d6:lengthi${data.length}e4:name4:blob12:piece lengthi${PIECE_BYTES}e6:pieces${pieces.length * 20}:`;
  return Buffer.concat([
    Buffer.from(`d8:announce${announce.length}:${announce}4:info${info}`),
    ...pieces,
    Buffer.from("ee"),
  ]);
}

/** Answers every announcement with all machines (BEP 23). */
function serveTracker(addresses: readonly string[]): void {
  const peers = Buffer.concat(
    addresses.map((address) => Buffer.from([...address.split(".").map(Number), PORT >> 8, PORT & 0xff])),
  );
  const body = Buffer.concat([Buffer.from(`d8:intervali1e5:peers${peers.length}:`), peers, Buffer.from("e")]);
  Bun.serve({ hostname: "10.77.0.254", port: TRACKER_PORT, fetch: () => new Response(body) });
  process.stdout.write("ready\n");
}
