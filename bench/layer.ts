// Committing a layer, against a bare loop that stats and hashes the same files with Bun.CryptoHasher: 20,000 small files, and one
// of 1 GiB. Both sides are measured in fresh processes, alternating; the ratio of their medians is printed.
//
//   bun bench/layer.ts [--rounds N] [--megabytes N]

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

const SMALL_FILES = 20_000;
const DIRECTORIES = 200;

if (process.argv[2] === "--bare") bare(process.argv[3] ?? "");
else if (process.argv[2] === "--commit") await commit(process.argv[3] ?? "", process.argv[4] ?? "");
else await main();

async function main(): Promise<void> {
  const rounds = option("--rounds", 5);
  const megabytes = option("--megabytes", 1024);
  const home = mkdtempSync(join(tmpdir(), "mesh-bench-layer-"));
  try {
    await compare(`${SMALL_FILES.toLocaleString("en")} small files`, home, rounds, makeSmall);
    await compare(`one file of ${megabytes} MiB`, home, rounds, (root) => makeLarge(root, megabytes));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function compare(title: string, home: string, rounds: number, make: (root: string) => void): Promise<void> {
  const bareMs: number[] = [];
  const commitMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const upper = `${home}/upper`;
    make(upper);
    bareMs.push(measure("--bare", upper));
    commitMs.push(measure("--commit", upper, `${home}/store-${round}`));
    rmSync(`${home}/store-${round}`, { recursive: true, force: true });
  }
  const ratio = median(commitMs) / median(bareMs);
  console.log(
    `${title}: commit ${median(commitMs).toFixed(0)} ms, bare loop ${median(bareMs).toFixed(0)} ms, ratio ${ratio.toFixed(2)} (limit 1.30)`,
  );
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

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function option(name: string, otherwise: number): number {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
}
