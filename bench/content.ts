// Content between machines, beside what else moves bytes: rsync's daemon for a layer of small files, iperf3 for one large blob,
// BitTorrent (aria2) for a blob to several machines. Each machine is a process in a network namespace of its own.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spreadFolders } from "../src/base/io/libc.ts";
import type { ContentRef } from "../src/mesh/content.ts";
import { Store } from "../src/store/io/store.ts";
import { identityNamed } from "../test/support/test-mesh.ts";
import type { MachineAnswer, MachineCommand, MachineSetup } from "./content-machine.ts";
import { Lan } from "./lan.ts";
import { type Row, median } from "./row.ts";
import { seedAndLeech } from "./torrent.ts";

const SMALL_FILES = 20_000;
const DIRECTORIES = 200;
const PORT = 7433;
const GIGABIT = 1_000;
/** Slow enough that eight processes on few CPUs are not what is measured. */
const FAN_OUT_MBIT = 200;
const END_MS = 5_000;
const IS_VERBOSE = process.env["MESH_BENCH_VERBOSE"] !== undefined;
const MIB = 1 << 20;
/** Where each machine leaves what its time went into. */
const PROFILES = process.env["MESH_BENCH_PROFILES"];
const PROFILING = PROFILES === undefined ? [] : ["--cpu-prof-md", `--cpu-prof-dir=${PROFILES}`];

/** Rows for content; none where namespaces can't be made. */
export async function contentRows(rounds = 3): Promise<readonly Row[]> {
  if (!Lan.isPossible) return [];
  return [...(await smallFiles(rounds)), await largeBlob(rounds), await fanOut(rounds), await besideTorrent(rounds)];
}

/** Machines that are connected with one another. */
class Machines implements AsyncDisposable {
  readonly lan: Lan;
  readonly folder = mkdtempSync(join(tmpdir(), "mesh-bench-content-"));
  readonly #running: Machine[] = [];

  constructor(count: number, mbit: number | null) {
    // Nobody pays for what was removed lately where its files happen to lie.
    spreadFolders(this.folder);
    this.lan = new Lan(count, mbit);
  }

  home(at: number): string {
    return `${this.folder}/home-${at}`;
  }

  async start(): Promise<readonly Machine[]> {
    const keys = this.lan.lines.map((_, at) => identityNamed(`machine-${at}`));
    const members = keys.map(({ id }, at) => ({
      id,
      name: `machine-${at}`,
      address: { host: this.lan.lines[at]?.address ?? "", port: PORT },
    }));
    for (const [at, { id, certificatePem, privateKeyPem }] of keys.entries()) {
      const key = { id, certificatePem, privateKeyPem };
      const setup: MachineSetup = { key, home: this.home(at), members };
      const path = `${this.folder}/machine-${at}.json`;
      writeFileSync(path, JSON.stringify(setup), { mode: 0o600 });
      const script = join(import.meta.dir, "content-machine.ts");
      this.#running.push(new Machine(this.lan.on(at, [process.execPath, ...PROFILING, script, path])));
    }
    for (const machine of this.#running) await machine.ready;
    for (const machine of this.#running) await machine.ask({ do: "connect" });
    return this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.#running) await machine.end();
    this.lan[Symbol.dispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

class Machine {
  readonly ready: Promise<MachineAnswer>;
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  constructor(argv: string[]) {
    this.#child = Bun.spawn(argv, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#lines = linesOf(this.#child.stdout);
    this.ready = this.#answer();
  }

  async ask(command: MachineCommand): Promise<MachineAnswer> {
    void this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    await this.#child.stdin.flush();
    return await this.#answer();
  }

  async end(): Promise<void> {
    await this.#child.stdin.end();
    if ((await Promise.race([this.#child.exited, Bun.sleep(END_MS)])) === undefined) this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  async #answer(): Promise<MachineAnswer> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error("A machine of the benchmark ended");
    return JSON.parse(next.value) as MachineAnswer;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of stream) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

async function smallFiles(rounds: number): Promise<readonly Row[]> {
  if (Bun.which("rsync") === null) return [];
  const [whole, half, rsync, rsyncHalf]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let round = 0; round < rounds; round++) {
    await using machines = new Machines(3, GIGABIT);
    const source = `${machines.folder}/source`;
    makeSmall(source, () => true);
    const [toNothing, toHalf] = await withRsync(machines, source);
    rsync.push(toNothing);
    rsyncHalf.push(toHalf);
    const layer = await commit(machines.home(0), source);
    makeSmall(source, (file) => file % 2 === 0);
    await commit(machines.home(2), source);
    const [, fresh, halfThere] = await machines.start();
    const wanted: ContentRef[] = [{ kind: "layer", digest: layer }];
    whole.push(await timeOf(fresh, wanted));
    half.push(await timeOf(halfThere, wanted));
  }
  const beside = (values: readonly number[], name: string) => ({ name, value: median(values) });
  const what = "a layer of 20,000 small files from another machine";
  const halfWhat = "the same, half of the files being there";
  return [
    { what, ours: median(whole), unit: "ms", other: beside(rsync, "rsync's daemon"), most: 1 },
    { what: halfWhat, ours: median(half), unit: "ms", other: beside(rsync, "rsync's daemon, to nothing"), most: 0.33 },
    { what: halfWhat, ours: median(half), unit: "ms", other: beside(rsyncHalf, "rsync, half being there"), most: null },
  ];
}

async function timeOf(machine: Machine | undefined, wanted: readonly ContentRef[]): Promise<number> {
  const answer = await machine?.ask({ do: "fetch", wanted });
  if (IS_VERBOSE) console.error(answer);
  return answer?.ms ?? Number.NaN;
}

/** How long rsync takes to a machine that has nothing, and to one that has every second file. */
async function withRsync(machines: Machines, source: string): Promise<readonly [number, number]> {
  const config = `${machines.folder}/rsyncd.conf`;
  writeFileSync(config, `use chroot = no\nuid = 0\ngid = 0\n[all]\npath = ${source}\n`);
  const daemon = Bun.spawn(
    machines.lan.on(0, ["rsync", "--daemon", "--no-detach", `--config=${config}`, "--port=8730"]),
    { stdout: "ignore", stderr: "inherit" },
  );
  try {
    await listens(machines, 8730);
    const url = `rsync://${machines.lan.lines[0]?.address}:8730/all/`;
    const copyTo = (target: string): number => {
      const started = performance.now();
      const { exitCode } = Bun.spawnSync(machines.lan.on(1, ["rsync", "-a", url, target]), { stderr: "inherit" });
      if (exitCode !== 0) throw new Error(`rsync ended with ${exitCode}`);
      return performance.now() - started;
    };
    const toNothing = copyTo(`${machines.folder}/rsynced`);
    const half = `${machines.folder}/half-there`;
    cpSync(source, half, {
      recursive: true,
      preserveTimestamps: true,
      filter: (path) => !/file-\d*[13579]\.ts$/.test(path),
    });
    return [toNothing, copyTo(half)];
  } finally {
    daemon.kill();
    await daemon.exited;
  }
}

async function listens(machines: Machines, port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const probe = ["bash", "-c", `: < /dev/tcp/${machines.lan.lines[0]?.address}/${port}`];
    if (Bun.spawnSync(machines.lan.on(1, probe), { stderr: "ignore" }).exitCode === 0) return;
    await Bun.sleep(50);
  }
  throw new Error(`Nothing listens on port ${port}`);
}

async function largeBlob(rounds: number): Promise<Row> {
  const bytes = 1024 * MIB;
  const ours: number[] = [];
  const iperf: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await using machines = new Machines(2, GIGABIT);
    const digest = await putLarge(machines, bytes);
    if (Bun.which("iperf3") !== null) iperf.push(await withIperf(machines, bytes));
    const [, receiver] = await machines.start();
    ours.push(await timeOf(receiver, [{ kind: "blob", digest }]));
  }
  const other = iperf.length === 0 ? null : { name: "iperf3, to memory", value: median(iperf) / 1e3 };
  return {
    what: "a blob of 1 GiB over 1 Gbit/s, verified, on disk",
    ours: median(ours) / 1e3,
    unit: "s",
    other,
    most: 1.67,
  };
}

async function withIperf(machines: Machines, bytes: number): Promise<number> {
  const server = Bun.spawn(machines.lan.on(0, ["iperf3", "-s", "-1"]), { stdout: "ignore", stderr: "ignore" });
  try {
    await Bun.sleep(300);
    const argv = ["iperf3", "-c", machines.lan.lines[0]?.address ?? "", "-R", "-n", String(bytes), "-J"];
    const { stdout } = Bun.spawnSync(machines.lan.on(1, argv));
    const { end } = JSON.parse(stdout.toString()) as { end: { sum_received: { seconds: number } } };
    return end.sum_received.seconds * 1e3;
  } finally {
    server.kill();
    await server.exited;
  }
}

/** The same blob to one machine and to seven at once. */
async function fanOut(rounds: number): Promise<Row> {
  const bytes = 128 * MIB;
  const [toOne, toSeven]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    toOne.push(await spread(bytes, 1, FAN_OUT_MBIT));
    toSeven.push(await spread(bytes, 7, FAN_OUT_MBIT));
  }
  const what = "128 MiB to 7 machines over 200 Mbit/s lines";
  const other = { name: "to one", value: median(toOne) / 1e3 };
  return { what, ours: median(toSeven) / 1e3, unit: "s", other, most: 2 };
}

async function besideTorrent(rounds: number): Promise<Row> {
  const bytes = 256 * MIB;
  const [ours, torrent]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    ours.push(await spread(bytes, 4, GIGABIT));
    if (Bun.which("aria2c") === null) continue;
    await using machines = new Machines(5, GIGABIT);
    torrent.push(await seedAndLeech(machines.lan, machines.folder, bytes));
  }
  const other = torrent.length === 0 ? null : { name: "BitTorrent (aria2)", value: median(torrent) / 1e3 };
  return { what: "256 MiB to 4 machines over 1 Gbit/s lines", ours: median(ours) / 1e3, unit: "s", other, most: 0.6 };
}

/** Time until the last of `receivers` has it. */
async function spread(bytes: number, receivers: number, mbit: number): Promise<number> {
  await using machines = new Machines(receivers + 1, mbit);
  const digest = await putLarge(machines, bytes);
  const [, ...others] = await machines.start();
  const started = performance.now();
  const answers = await Promise.all(
    others.map((machine) => machine.ask({ do: "fetch", wanted: [{ kind: "blob", digest }] })),
  );
  const elapsed = performance.now() - started;
  if (IS_VERBOSE)
    console.error(
      answers,
      machines.lan.lines.map((_, at) => `${(machines.lan.sentBytes(at) / bytes).toFixed(2)} times sent`),
    );
  return elapsed;
}

async function putLarge(machines: Machines, bytes: number): Promise<ContentRef["digest"]> {
  const path = `${machines.folder}/large`;
  const block = crypto.getRandomValues(new Uint8Array(65_536));
  const file = Bun.file(path).writer();
  const view = new DataView(block.buffer);
  for (let at = 0; at < bytes; at += block.length) {
    view.setUint32(0, at / block.length);
    void file.write(block.slice());
    if (at % (16 * MIB) === 0) await file.flush();
  }
  await file.end();
  using store = Store.open(machines.home(0));
  return await store.blobs.putFile(path, { move: true });
}

async function commit(home: string, source: string): Promise<ContentRef["digest"]> {
  using store = Store.open(home);
  return (await store.layers.commit({ upper: source, maskedDirectories: new Set() })).digest;
}

/** Small files of a source tree. */
function makeSmall(root: string, wants: (file: number) => boolean): void {
  for (let directory = 0; directory < DIRECTORIES; directory++) {
    const path = `${root}/workspace/package-${directory}/src`;
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < SMALL_FILES / DIRECTORIES; file++) {
      if (!wants(file)) continue;
      const text = `export const value${file} = ${directory};\n`.repeat(1 + ((file * 7) % 60));
      writeFileSync(`${path}/file-${file}.ts`, text);
    }
  }
}

if (import.meta.main) {
  const [part] = process.argv.slice(2);
  const parts: Readonly<Record<string, () => Promise<unknown>>> = {
    small: () => smallFiles(1),
    large: () => largeBlob(1),
    "fan-out": () => fanOut(1),
    torrent: () => besideTorrent(1),
  };
  console.log(await parts[part ?? ""]?.());
}
