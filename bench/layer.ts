// Committing a layer, against a bare loop that stats and hashes the same files with Bun.CryptoHasher: 20,000 small files, and one
// of 1 GiB. Both sides are measured in fresh processes, alternating.

import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Store } from "../src/store/io/store.ts";
import { type Row, median } from "./row.ts";

const SMALL_FILES = 20_000;
const DIRECTORIES = 200;

if (import.meta.main) {
  const [side, upper = "", home = ""] = process.argv.slice(2);
  if (side === "--bare") bare(upper);
  else await commit(upper, home);
}

/** Rows for the two kinds of layer, and for handing one on. */
export async function layerRows(rounds = 5, megabytes = 1024): Promise<readonly Row[]> {
  const home = mkdtempSync(join(tmpdir(), "mesh-bench-layer-"));
  try {
    return [
      await compare("committing a layer of 20,000 small files", { home, rounds, make: makeSmall }),
      await compare("committing a layer of one file of 1 GiB", {
        home,
        rounds,
        make: (root) => makeLarge(root, megabytes),
      }),
      await handOver(home),
    ];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

interface Comparison {
  readonly home: string;
  readonly rounds: number;
  readonly make: (root: string) => void;
}

/** From a committed layer to the directories that the next task mounts. */
async function handOver(home: string): Promise<Row> {
  makeSmall(`${home}/upper`);
  using store = Store.open(`${home}/hand-over`);
  const { digest } = await store.layers.commit({ upper: `${home}/upper`, maskedDirectories: new Set() });
  const started = performance.now();
  await store.layers.lowers([digest], { most: 400 });
  return {
    what: "handing 20,000 files to the next task",
    ours: performance.now() - started,
    unit: "ms",
    other: { name: "limit", value: 20 },
    most: 1,
  };
}

async function compare(what: string, { home, rounds, make }: Comparison): Promise<Row> {
  const bareMs: number[] = [];
  const commitMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const upper = `${home}/upper`;
    make(upper);
    bareMs.push(measure("--bare", upper));
    commitMs.push(measure("--commit", upper, `${home}/store-${round}`));
    rmSync(`${home}/store-${round}`, { recursive: true, force: true });
  }
  return {
    what,
    ours: median(commitMs),
    unit: "ms",
    other: { name: "bare stat and hash loop", value: median(bareMs) },
    most: 1.3,
  };
}

function measure(...args: string[]): number {
  const child = Bun.spawnSync([process.execPath, import.meta.path, ...args], { stderr: "inherit" });
  return Number(child.stdout.toString());
}

function bare(root: string): void {
  const started = performance.now();
  const chunk = Buffer.allocUnsafe(1 << 20);
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = `${directory}/${entry.name}`;
      const stat = lstatSync(path);
      if (stat.isDirectory()) walk(path);
      else {
        const hasher = new Bun.CryptoHasher("sha256");
        if (stat.size < chunk.length) hasher.update(readFileSync(path));
        else {
          const fd = openSync(path, "r");
          for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk))
            hasher.update(chunk.subarray(0, length));
          closeSync(fd);
        }
        hasher.digest("hex");
      }
    }
  };
  walk(root);
  console.log(performance.now() - started);
}

async function commit(upper: string, home: string): Promise<void> {
  using store = Store.open(home);
  const started = performance.now();
  await store.layers.commit({ upper, maskedDirectories: new Set() });
  console.log(performance.now() - started);
}

function makeSmall(root: string): void {
  for (let directory = 0; directory < DIRECTORIES; directory++) {
    const path = `${root}/workspace/package-${directory}/src`;
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < SMALL_FILES / DIRECTORIES; file++) {
      writeFileSync(
        `${path}/file-${file}.ts`,
        `export const value${file} = ${directory};\n`.repeat(1 + ((file * 7) % 60)),
      );
    }
  }
}

function makeLarge(root: string, megabytes: number): void {
  mkdirSync(`${root}/workspace`, { recursive: true });
  const fd = openSync(`${root}/workspace/large.bin`, "w");
  ftruncateSync(fd, 0);
  const chunk = Buffer.alloc(1 << 20);
  for (let index = 0; index < megabytes; index++) {
    chunk.writeUInt32LE(index, 0);
    writeSync(fd, chunk);
  }
  closeSync(fd);
}
