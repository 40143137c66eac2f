import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { digestOf } from "../../../src/base/digest.ts";
import { LIMITS } from "../../../src/base/limits.ts";
import { type ChunkList, chunkListOf, chunkSpan, DIGEST_BYTES } from "../../../src/store/chunks.ts";
import { ownFiles } from "../../../src/store/io/ownership.ts";
import { Home } from "../../../src/store/io/home.ts";
import { PartialContent } from "../../../src/store/io/partial-content.ts";
import { Store } from "../../../src/store/io/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const BYTES = Buffer.alloc(3 * LIMITS.chunkBytes + 5, "content ");
const DIGEST = digestOf(BYTES);
const LIST = listOf(BYTES);

function listOf(bytes: Uint8Array): ChunkList {
  const count = Math.ceil(bytes.length / LIMITS.chunkBytes);
  const digests = new Uint8Array(count * DIGEST_BYTES);
  for (let at = 0; at < count; at++) {
    const chunk = bytes.subarray(at * LIMITS.chunkBytes, (at + 1) * LIMITS.chunkBytes);
    digests.set(Bun.SHA256.hash(chunk) as Uint8Array, at * DIGEST_BYTES);
  }
  const list = chunkListOf(bytes.length, digests);
  if (!list) throw new Error("the list does not fit");
  return list;
}

function chunk(index: number): Uint8Array {
  const { at, length } = chunkSpan(LIST, index);
  return BYTES.subarray(at, at + length);
}

function open(home: Home, boot = "boot"): Promise<PartialContent> {
  return PartialContent.open(home, { digest: DIGEST, list: LIST, boot });
}

describe("PartialContent", () => {
  test("write() takes chunks in any order, and the whole is right", async () => {
    using folder = temporaryFolder();
    const home = new Home(folder.path, ownFiles());
    using partial = await open(home);
    for (const index of [3, 1, 0, 2]) expect(partial.write(index, chunk(index))).toBe(true);
    expect(partial.missing).toBe(0);
    expect(await partial.isRight()).toBe(true);
    expect(readFileSync(partial.path).equals(BYTES)).toBe(true);
  });

  test("write() refuses what is not the chunk, and writes nothing", async () => {
    using folder = temporaryFolder();
    const home = new Home(folder.path, ownFiles());
    using partial = await open(home);
    for (const bytes of [new Uint8Array(0), chunk(3), Buffer.alloc(LIMITS.chunkBytes)])
      expect(partial.write(0, bytes)).toBe(false);
    const target = new Uint8Array(LIMITS.chunkBytes);
    expect([partial.has(0), partial.read(0, target), partial.missing]).toEqual([false, false, 4]);
  });

  test("open() goes on where another process stopped, and reads chunks of an earlier boot again", async () => {
    using folder = temporaryFolder();
    const home = new Home(folder.path, ownFiles());
    let path: string;
    {
      using partial = await open(home);
      for (const index of [0, 2]) partial.write(index, chunk(index));
      path = partial.path;
    }
    {
      using partial = await open(home);
      expect([0, 1, 2, 3].map((index) => partial.has(index))).toEqual([true, false, true, false]);
      expect(partial.doneBytes).toBe(2 * LIMITS.chunkBytes);
    }
    const damaged = readFileSync(path);
    damaged[2 * LIMITS.chunkBytes + 9] = 0;
    writeFileSync(path, damaged);
    using partial = await open(home, "another boot");
    expect([0, 1, 2, 3].map((index) => partial.has(index))).toEqual([true, false, false, false]);
    for (const index of [1, 2, 3]) expect(partial.write(index, chunk(index))).toBe(true);
    expect(await partial.isRight()).toBe(true);
  });

  test("open() begins anew when the list is another one or the record is damaged", async () => {
    using folder = temporaryFolder();
    const home = new Home(folder.path, ownFiles());
    for (const damage of [Buffer.alloc(0), Buffer.from("rubbish\n"), Buffer.alloc(5_000, "{")]) {
      {
        using partial = await open(home);
        partial.write(0, chunk(0));
        writeFileSync(`${partial.path}.chunks`, damage);
      }
      using partial = await open(home);
      expect(partial.missing).toBe(4);
      partial.discard();
    }
    expect(readdirSync(home.paths.partial)).toEqual([]);
  });

  test("open() by two at once gives each a file of its own", async () => {
    using folder = temporaryFolder();
    const home = new Home(folder.path, ownFiles());
    using first = await open(home);
    using second = await open(home);
    expect(second.path).not.toBe(first.path);
    for (const index of [0, 1, 2, 3]) second.write(index, chunk(index));
    expect(await second.isRight()).toBe(true);
    expect(first.missing).toBe(4);
    second.discard();
  });

  test("isRight() is false for chunks that follow a false list", async () => {
    using folder = temporaryFolder();
    const home = new Home(folder.path, ownFiles());
    const other = Buffer.alloc(BYTES.length, "lies");
    using partial = await PartialContent.open(home, { digest: DIGEST, list: listOf(other), boot: "boot" });
    for (const index of [0, 1, 2, 3]) {
      const { at, length } = chunkSpan(partial.list, index);
      partial.write(index, other.subarray(at, at + length));
    }
    expect(await partial.isRight()).toBe(false);
  });

  test("zeros become holes", async () => {
    using folder = temporaryFolder();
    const home = new Home(folder.path, ownFiles());
    const zeros = Buffer.alloc(8 * LIMITS.chunkBytes);
    zeros[5 * LIMITS.chunkBytes] = 1;
    const list = listOf(zeros);
    using partial = await PartialContent.open(home, { digest: digestOf(zeros), list, boot: "boot" });
    for (let index = 0; index < 8; index++)
      partial.write(index, zeros.subarray(index * LIMITS.chunkBytes, (index + 1) * LIMITS.chunkBytes));
    expect(await partial.isRight()).toBe(true);
    expect(statSync(partial.path).blocks * 512).toBeLessThan(LIMITS.chunkBytes);
  });

  test("sweep() removes what nobody goes on with, and leaves what is young or in use", async () => {
    using folder = temporaryFolder();
    using store = Store.open(folder.path);
    const list = LIST;
    const old = await store.openPartial(DIGEST, list);
    old[Symbol.dispose]();
    const longAgo = Date.now() / 1e3 - 3 * 24 * 3_600;
    utimesSync(`${old.path}.chunks`, longAgo, longAgo);
    const young = await store.openPartial(digestOf("young"), list);
    young[Symbol.dispose]();
    const used = await store.openPartial(digestOf("used"), list);
    utimesSync(`${used.path}.chunks`, longAgo, longAgo);
    await store.sweep();
    expect(new Set(readdirSync(store.paths.partial))).toEqual(
      new Set(
        [young.path, used.path].flatMap((path) => [path, `${path}.chunks`].map((each) => each.split("/").at(-1) ?? "")),
      ),
    );
    used[Symbol.dispose]();
  });
});
