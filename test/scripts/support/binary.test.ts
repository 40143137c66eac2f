import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { compile } from "../../../scripts/support/binary.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const MAIN = `
import { hashOf } from "../store/io/pool.ts";
declare const MESH_VERSION: string;
declare const MESH_COMMIT: string;
async function main(): Promise<void> {
  const [variable] = process.argv.slice(2);
  console.log(JSON.stringify([MESH_VERSION, MESH_COMMIT, process.env[variable ?? ""] ?? null, await hashOf("x")]));
  process.exit(0);
}
if (import.meta.main) void main();
`;

const POOL = `
export function hashOf(text: string): Promise<string> {
  const worker = new Worker(new URL("./hash-worker.ts", import.meta.url));
  return new Promise((resolve, reject) => {
    worker.onmessage = (event) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(text);
  });
}
`;

const WORKER = `
self.onmessage = (event) => self.postMessage(Bun.SHA256.hash(event.data, "hex"));
`;

test("compile() makes an executable that needs nothing of the checkout and obeys no file where it is called", async () => {
  using folder = temporaryFolder();
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(folder.join(path)), { recursive: true });
    writeFileSync(folder.join(path), text);
  };
  write("checkout/package.json", '{ "version": "1.2.3" }');
  write("checkout/src/cli/main.ts", MAIN);
  write("checkout/src/store/io/pool.ts", POOL);
  write("checkout/src/store/io/hash-worker.ts", WORKER);
  write("cwd/.env", "FROM_FILE=obeyed");
  write("cwd/bunfig.toml", 'preload = ["./missing.ts"]');
  write("cwd/store/io/hash-worker.js", 'self.onmessage = () => self.postMessage("not ours");');
  const options = {
    checkout: folder.join("checkout"),
    target: null,
    outfile: folder.join("out/mesh"),
    sourcemap: true,
  };
  const outfile = await compile(options);
  rmSync(folder.join("checkout"), { recursive: true });
  const { stdout } = Bun.spawnSync([outfile, "FROM_FILE"], { cwd: folder.join("cwd"), stdin: "ignore" });
  const hash = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
  expect(JSON.parse(stdout.toString())).toEqual(["1.2.3", "unknown", null, hash]);
  expect(readdirSync(folder.join("out"))).toEqual(["mesh"]);
});
