import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { digestOf } from "../../../src/base/digest.ts";
import { check } from "../../../src/store/io/errno.ts";
import * as raw from "../../../src/store/io/raw-files.ts";
import { describeIf, testIf } from "../../support/require.ts";
import { ContentMesh, type Machine, noise } from "./content-fixture.ts";

const MIB = 1 << 20;

/** Fails with the code of what `promise` throws. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "nothing was thrown";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}

/** Nothing that was begun is left: temporary files are gone when what was discarded is. */
async function leftovers(machine: Machine): Promise<readonly string[]> {
  await machine.store.settled();
  return readdirSync(machine.store.paths.tmp);
}

describe("MeshContent.fetch() of blobs", () => {
  test("fetch() brings a small blob, and one that is there is not fetched", async () => {
    await using mesh = new ContentMesh();
    const [a, b] = [mesh.add("a"), mesh.add("b")];
    const digest = a.store.blobs.put(Buffer.from("hello"));
    expect(await b.content.fetch([{ kind: "blob", digest }])).toEqual({ receivedBytes: 5, reusedBytes: 0, liars: [] });
    expect(Buffer.from(b.store.blobs.read(digest)).toString()).toBe("hello");
    expect(await b.content.fetch([{ kind: "blob", digest }])).toEqual({ receivedBytes: 0, reusedBytes: 0, liars: [] });
  });

  test("fetch() brings an empty blob, and many small ones", async () => {
    await using mesh = new ContentMesh();
    const [a, b] = [mesh.add("a"), mesh.add("b")];
    const digests = [new Uint8Array(0), ...Array.from({ length: 700 }, (_, at) => noise(1 + at, at + 1))].map((bytes) =>
      a.store.blobs.put(bytes),
    );
    const report = await b.content.fetch(digests.map((digest) => ({ kind: "blob", digest })));
    expect(report.receivedBytes).toBe((700 * 701) / 2);
    expect(digests.every((digest) => b.store.blobs.has(digest))).toBe(true);
  });

  test("fetch() brings a large blob in chunks, from two machines", async () => {
    await using mesh = new ContentMesh();
    const [a, b, c] = [mesh.add("a"), mesh.add("b"), mesh.add("c")];
    const bytes = noise(11 * MIB + 17, 5);
    const digest = a.store.blobs.put(bytes);
    b.store.blobs.put(bytes);
    const report = await c.content.fetch([{ kind: "blob", digest }]);
    expect(report).toEqual({ receivedBytes: bytes.length, reusedBytes: 0, liars: [] });
    expect(digestOf(readFileSync(c.store.blobs.path(digest)))).toBe(digest);
    expect(readdirSync(c.store.paths.partial)).toEqual([]);
  });

  test("fetch() names all that no machine has", async () => {
    await using mesh = new ContentMesh();
    const [a, b] = [mesh.add("a"), mesh.add("b")];
    const there = a.store.blobs.put(Buffer.from("x"));
    const [one, two] = [digestOf("one"), digestOf("two")];
    const refs = [one, there, two].map((digest) => ({ kind: "blob", digest }) as const);
    const error = await b.content.fetch(refs).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "blob.missing" });
    expect(String(error)).toContain(one);
    expect(String(error)).toContain(two);
    expect(String(error)).not.toContain(there);
  });

  test("fetch() makes a blob of a layer's file that is here", async () => {
    await using mesh = new ContentMesh();
    const [a, b] = [mesh.add("a"), mesh.add("b")];
    const digest = a.store.blobs.put(Buffer.from("same"));
    await mesh.commit(b, { "workspace/f": "same" });
    expect(await b.content.fetch([{ kind: "blob", digest }])).toEqual({ receivedBytes: 0, reusedBytes: 4, liars: [] });
  });
});

/** Every kind of entry that a layer can hold. */
function fillOddly(upper: string): void {
  mkdirSync(`${upper}/workspace/closed/inner`, { recursive: true });
  mkdirSync(`${upper}/etc/opaque`, { recursive: true });
  const work = `${upper}/workspace`;
  writeFileSync(`${work}/plain`, "plain");
  writeFileSync(`${work}/same`, "plain");
  writeFileSync(`${work}/empty`, "");
  writeFileSync(`${work}/program`, "#!/bin/sh\n");
  chmodSync(`${work}/program`, 0o6755);
  writeFileSync(`${work}/secret`, "secret");
  chmodSync(`${work}/secret`, 0o000);
  utimesSync(`${work}/plain`, 1_000_000, 1_000_000.5);
  linkSync(`${work}/plain`, `${upper}/etc/linked`);
  linkSync(`${work}/program`, `${work}/zz-linked`);
  symlinkSync("../../../../etc/passwd", `${work}/out`);
  symlinkSync("nowhere", `${work}/dangling`);
  writeFileSync(`${work}/large`, noise(5 * MIB + 3, 9));
  writeFileSync(`${work}/sparse`, "start");
  truncateSync(`${work}/sparse`, 8 * MIB);
  writeFileSync(`${work}/closed/inner/file`, "deep");
  chmodSync(`${work}/closed/inner`, 0o000);
  chmodSync(`${work}/closed`, 0o500);
  mkdirSync(`${work}/sticky`);
  chmodSync(`${work}/sticky`, 0o3770);
  const fd = check(raw.openAt(raw.HERE, work, raw.READ_DIRECTORY), "open", work);
  check(raw.makeFifoAt(fd, "fifo", 0o640), "make", "fifo");
  const odd = check(raw.openAt(fd, "odd \udcff\n\u{1f600}", raw.CREATE_FILE, 0o644), "create", "odd");
  raw.writeAll(odd, Buffer.from("odd"), "odd");
  raw.setXattr(odd, "user.kept", Buffer.from("value"));
  raw.closeFd(odd);
  raw.closeFd(fd);
  const opaque = check(raw.openAt(raw.HERE, `${upper}/etc/opaque`, raw.READ_DIRECTORY), "open", "opaque");
  check(raw.setXattr(opaque, "user.overlay.opaque", Buffer.from("y")), "mark", "opaque");
  check(raw.setXattr(opaque, "user.on-directory", Buffer.from("1")), "mark", "opaque");
  raw.closeFd(opaque);
}

function addWhiteout(upper: string): void {
  const fd = check(raw.openAt(raw.HERE, `${upper}/etc`, raw.READ_DIRECTORY), "open", upper);
  check(raw.makeWhiteoutAt(fd, "gone"), "make", "gone");
  raw.closeFd(fd);
}

describe("MeshContent.fetch() of layers", () => {
  test("fetch() brings every kind of entry, so that the layer verifies", async () => {
    await using mesh = new ContentMesh();
    const [a, b] = [mesh.add("a"), mesh.add("b")];
    const layer = await mesh.commit(a, fillOddly);
    const report = await b.content.fetch([{ kind: "layer", digest: layer.digest }]);
    expect(report.liars).toEqual([]);
    expect(b.store.layers.ref(layer.digest)).toEqual(layer);
    expect(await b.store.layers.verify(layer.digest)).toBe(true);
    const directory = b.store.layers.directory(layer.digest);
    expect(lstatSync(`${directory}/workspace/plain`).mtimeMs).toBe(1_000_000_500);
    expect(lstatSync(`${directory}/workspace/sparse`).blocks * 512).toBeLessThan(MIB);
    expect(await leftovers(b)).toEqual([]);
  });

  testIf("whiteouts", "fetch() brings whiteouts", async () => {
    await using mesh = new ContentMesh();
    const [a, b] = [mesh.add("a"), mesh.add("b")];
    const layer = await mesh.commit(a, (upper) => {
      fillOddly(upper);
      addWhiteout(upper);
    });
    await b.content.fetch([{ kind: "layer", digest: layer.digest }]);
    expect(await b.store.layers.verify(layer.digest)).toBe(true);
  });

  describeIf("root", "owners", () => {
    test("fetch() gives files, directories and links their owners and capabilities", async () => {
      await using mesh = new ContentMesh();
      const [a, b] = [mesh.add("a"), mesh.add("b")];
      const layer = await mesh.commit(a, (upper) => {
        mkdirSync(`${upper}/workspace/d`, { recursive: true });
        writeFileSync(`${upper}/workspace/d/f`, "owned");
        chmodSync(`${upper}/workspace/d/f`, 0o4711);
        for (const path of [`${upper}/workspace/d`, `${upper}/workspace/d/f`]) chownSync(path, 1234, 5678);
        chmodSync(`${upper}/workspace/d/f`, 0o4711);
      });
      await b.content.fetch([{ kind: "layer", digest: layer.digest }]);
      const stat = lstatSync(`${b.store.layers.directory(layer.digest)}/workspace/d/f`);
      expect([stat.uid, stat.gid, stat.mode & 0o7777]).toEqual([1234, 5678, 0o4711]);
      expect(await b.store.layers.verify(layer.digest)).toBe(true);
    });
  });

  test("fetch() takes what other layers hold already, and every file stays its own inode", async () => {
    await using mesh = new ContentMesh();
    const [a, b] = [mesh.add("a"), mesh.add("b")];
    const old = { "workspace/one": "one".repeat(100), "workspace/two": "two" };
    await mesh.commit(b, old);
    const layer = await mesh.commit(a, {
      ...old,
      "workspace/one-again": "one".repeat(100),
      "workspace/new": "new",
    });
    const report = await b.content.fetch([{ kind: "layer", digest: layer.digest }]);
    const treeBytes = a.store.layers.treeBytes(layer.digest).length;
    expect(report).toEqual({ receivedBytes: treeBytes + 3, reusedBytes: 303, liars: [] });
    expect(await b.store.layers.verify(layer.digest)).toBe(true);
  });

  test("fetchTrees() brings trees alone", async () => {
    await using mesh = new ContentMesh();
    const [a, b] = [mesh.add("a"), mesh.add("b")];
    const layer = await mesh.commit(a, { "workspace/one": "one" });
    await b.content.fetchTrees([layer.digest]);
    expect(b.store.layers.tree(layer.digest)).toEqual(a.store.layers.tree(layer.digest));
    expect(b.store.layers.has(layer.digest)).toBe(false);
    expect(await codeOf(b.content.fetchTrees([digestOf("nothing")]))).toBe("blob.missing");
  });

  test("locate() says who has what", async () => {
    await using mesh = new ContentMesh();
    const [a, b, c] = [mesh.add("a"), mesh.add("b"), mesh.add("c")];
    const layer = await mesh.commit(a, { "workspace/one": "one" });
    const blob = a.store.blobs.put(Buffer.from("blob"));
    b.store.blobs.put(Buffer.from("blob"));
    const found = await c.content.locate([
      { kind: "layer", digest: layer.digest },
      { kind: "blob", digest: blob },
    ]);
    expect(found.get(layer.digest)).toEqual([a.id]);
    expect(new Set(found.get(blob))).toEqual(new Set([a.id, b.id]));
  });
});
