import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { type Digest, digestOf } from "../../../src/base/digest.ts";
import { compileFilter, KEEP_ALL } from "../../../src/store/filter.ts";
import { EMPTY_LAYER } from "../../../src/store/layer.ts";
import { check } from "../../../src/store/io/errno.ts";
import * as raw from "../../../src/store/io/raw-files.ts";
import { Store } from "../../../src/store/io/store.ts";
import { TemporaryDirectory, writeFiles } from "../support.ts";
import { testIf } from "../../support/require.ts";

const NONE: ReadonlySet<string> = new Set();

class Fixture implements AsyncDisposable {
  readonly directory = new TemporaryDirectory();
  readonly store = Store.open(`${this.directory.path}/home`);
  #uppers = 0;

  upper(files: Readonly<Record<string, string>>): string {
    const upper = `${this.store.paths.scratch}/upper-${this.#uppers++}`;
    mkdirSync(upper, { recursive: true });
    writeFiles(upper, files);
    return upper;
  }

  commit(files: Readonly<Record<string, string>>) {
    return this.store.layers.commit({ upper: this.upper(files), maskedDirectories: NONE });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.settled();
    this.store[Symbol.dispose]();
    this.directory[Symbol.dispose]();
  }
}

/** Directories in one another, each opened from the one above, and a file at the bottom. */
function makeNested(root: string, name: string, depth: number): void {
  let fd = check(raw.openAt(raw.HERE, root, raw.READ_DIRECTORY), "open", root);
  for (let level = 0; level < depth; level++) {
    check(raw.makeDirectoryAt(fd, name, 0o755), "make", name);
    const below = check(raw.openAt(fd, name, raw.READ_DIRECTORY), "open", name);
    raw.closeFd(fd);
    fd = below;
  }
  const file = check(raw.openAt(fd, "file", raw.CREATE_FILE, 0o644), "create", "file");
  raw.writeAll(file, Buffer.from("deep"), "file");
  raw.closeFd(file);
  raw.closeFd(fd);
}

function paths(store: Store, digest: Digest): readonly string[] {
  return store.layers.tree(digest).map(({ path }) => path);
}

describe("Layers.commit()", () => {
  test("commit() renames the upper directory into place and knows its tree", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({ "workspace/a": "hello", "etc/b": "x" });
    const layer = await fixture.store.layers.commit({ upper, maskedDirectories: NONE });
    expect(existsSync(upper)).toBe(false);
    expect(readFileSync(`${fixture.store.layers.directory(layer.digest)}/workspace/a`, "utf8")).toBe("hello");
    expect(layer).toMatchObject({ sizeBytes: 6, entries: 4 });
    expect(fixture.store.layers.tree(layer.digest).find(({ path }) => path === "workspace/a")?.digest).toBe(
      digestOf("hello"),
    );
    expect(fixture.store.layers.ref(layer.digest)).toEqual(layer);
  });

  test("commit() of an empty upper directory is the empty layer and leaves the directory", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({});
    expect(await fixture.store.layers.commit({ upper, maskedDirectories: NONE })).toEqual(EMPTY_LAYER);
    expect(existsSync(upper)).toBe(true);
    expect(fixture.store.layers.has(EMPTY_LAYER.digest)).toBe(true);
  });

  test("commit() drops a layer that is there already", async () => {
    await using fixture = new Fixture();
    const first = await fixture.commit({ "workspace/a": "same" });
    const upper = fixture.upper({ "workspace/a": "same" });
    utimesSync(`${upper}/workspace/a`, 1, 1);
    expect(await fixture.store.layers.commit({ upper, maskedDirectories: NONE })).toEqual(first);
    expect(existsSync(upper)).toBe(false);
    expect(readdirSync(fixture.store.paths.layers)).toHaveLength(1);
  });

  test("commit() replaces a directory that no row vouches for", async () => {
    await using fixture = new Fixture();
    const files = { "workspace/a": "same" };
    const layer = await fixture.commit(files);
    const directory = fixture.store.layers.directory(layer.digest);
    fixture.store.layers.drop(layer.digest);
    await fixture.store.settled();
    mkdirSync(`${directory}/workspace/half`, { recursive: true });
    expect(await fixture.commit(files)).toEqual(layer);
    expect(readdirSync(`${directory}/workspace`)).toEqual(["a"]);
  });

  test("commit() tells workspace and system apart", async () => {
    await using fixture = new Fixture();
    const one = await fixture.commit({ "workspace/a": "1", "etc/x": "x" });
    const two = await fixture.commit({ "workspace/a": "2", "etc/x": "x" });
    expect(one.system).toBe(two.system);
    expect(one.workspace).not.toBe(two.workspace);
  });
});

describe("Layers.commit() of what tasks leave behind", () => {
  test("commit() keeps files and directories closed to their owner as they are", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({ "workspace/closed/in/f": "secret", "workspace/g": "shut" });
    chmodSync(`${upper}/workspace/closed/in/f`, 0);
    chmodSync(`${upper}/workspace/closed/in`, 0o400);
    chmodSync(`${upper}/workspace/closed`, 0);
    chmodSync(`${upper}/workspace/g`, 0o200);
    chmodSync(upper, 0);
    const layer = await fixture.store.layers.commit({ upper, maskedDirectories: NONE });
    const entries = Object.fromEntries(
      fixture.store.layers.tree(layer.digest).map((each) => [each.path, [each.mode, each.digest]]),
    );
    expect(entries).toMatchObject({
      "workspace/closed": [0, null],
      "workspace/closed/in": [0o400, null],
      "workspace/closed/in/f": [0, digestOf("secret")],
      "workspace/g": [0o200, digestOf("shut")],
    });
    const directory = fixture.store.layers.directory(layer.digest);
    expect(lstatSync(`${directory}/workspace/closed`).mode & 0o7777).toBe(0);
    expect(lstatSync(`${directory}/workspace/g`).mode & 0o7777).toBe(0o200);
    expect(await fixture.store.layers.verify(layer.digest)).toBe(true);
    fixture.store.layers.drop(layer.digest);
    await fixture.store.settled();
    expect(readdirSync(fixture.store.paths.tmp)).toEqual([]);
  });

  test("commit() keeps odd names, links that lead anywhere, hardlinks, fifos and holes", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({ "workspace/new\nline": "n", "workspace/first": "linked", "workspace/ünï": "u" });
    raw.closeFd(
      check(raw.openAt(raw.HERE, `${upper}/workspace/\udcff\udcfe`, raw.CREATE_FILE, 0o644), "create", "odd"),
    );
    symlinkSync("../../../etc/shadow", `${upper}/workspace/out`);
    symlinkSync("loop", `${upper}/workspace/loop`);
    linkSync(`${upper}/workspace/first`, `${upper}/workspace/second`);
    check(raw.makeFifoAt(raw.HERE, `${upper}/workspace/pipe`, 0o600), "make", "pipe");
    const layer = await fixture.store.layers.commit({ upper, maskedDirectories: NONE });
    const found = fixture.store.layers
      .tree(layer.digest)
      .map(({ path, kind, target, hardlink }) => [path.slice(10), kind, target, hardlink]);
    expect(found).toEqual([
      ["", "directory", null, 0],
      ["first", "file", null, 1],
      ["loop", "symlink", "loop", 0],
      ["new\nline", "file", null, 0],
      ["out", "symlink", "../../../etc/shadow", 0],
      ["pipe", "fifo", null, 0],
      ["second", "file", null, 1],
      ["ünï", "file", null, 0],
      ["\udcff\udcfe", "file", null, 0],
    ]);
    expect(layer.sizeBytes).toBe(8);
  });
});

describe("Layers.commit() of what a layer does not hold", () => {
  test("commit() leaves sockets out and says so", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({ "workspace/a": "a" });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(`${upper}/workspace/s`, resolve));
    const layer = await fixture.store.layers.commit({ upper, maskedDirectories: NONE });
    server.close();
    expect(paths(fixture.store, layer.digest)).toEqual(["workspace", "workspace/a"]);
    expect(fixture.store.warnings.map(({ code }) => code)).toEqual(["entry-left-out"]);
    expect(await fixture.store.layers.verify(layer.digest)).toBe(true);
  });

  testIf("whiteouts", "commit() keeps only what the output filter keeps, and the directories above it", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({
      "workspace/dist/a/x": "x",
      "workspace/dist/b": "b",
      "workspace/src/c": "c",
      "etc/conf": "e",
    });
    check(raw.makeWhiteoutAt(raw.HERE, `${upper}/workspace/src/gone`), "make", "whiteout");
    const keep = (path: string): boolean => path === "workspace/dist/a/x" || path.startsWith("etc");
    const layer = await fixture.store.layers.commit({ upper, maskedDirectories: NONE, keep });
    expect(paths(fixture.store, layer.digest)).toEqual([
      "etc",
      "etc/conf",
      "workspace",
      "workspace/dist",
      "workspace/dist/a",
      "workspace/dist/a/x",
    ]);
    expect(existsSync(`${fixture.store.layers.directory(layer.digest)}/workspace/src`)).toBe(false);
    const nothing = await fixture.store.layers.commit({
      upper: fixture.upper({ "workspace/a": "a" }),
      maskedDirectories: NONE,
      keep: () => false,
    });
    expect(nothing).toEqual(EMPTY_LAYER);
  });

  test("commit() takes the opaque mark off masked directories alone", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({ "workspace/masked/a": "a", "workspace/real/b": "b" });
    for (const name of ["masked", "real"]) {
      const fd = check(raw.openAt(raw.HERE, `${upper}/workspace/${name}`, raw.READ_DIRECTORY), "open", name);
      check(raw.setXattr(fd, "user.overlay.opaque", Uint8Array.of(0x79)), "mark", name);
      raw.closeFd(fd);
    }
    const layer = await fixture.store.layers.commit({ upper, maskedDirectories: new Set(["workspace/masked"]) });
    const opaque = fixture.store.layers.tree(layer.digest).filter((each) => each.opaque);
    expect(opaque.map(({ path, xattrs }) => [path, xattrs])).toEqual([["workspace/real", []]]);
    expect(await fixture.store.layers.verify(layer.digest)).toBe(true);
  });

  test("commit() counts extended attributes of the content as content", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({ "workspace/a": "a" });
    const fd = check(raw.openAt(raw.HERE, `${upper}/workspace/a`, raw.READ_FILE), "open", "a");
    check(raw.setXattr(fd, "user.note", new TextEncoder().encode("hi")), "set", "a");
    raw.closeFd(fd);
    const layer = await fixture.store.layers.commit({ upper, maskedDirectories: NONE });
    const xattrs = fixture.store.layers.tree(layer.digest).at(-1)?.xattrs;
    expect(xattrs?.map(({ name, value }) => [name, Buffer.from(value).toString()])).toEqual([["user.note", "hi"]]);
    expect((await fixture.commit({ "workspace/a": "a" })).digest).not.toBe(layer.digest);
  });
});

describe("Layers.commit() of large, changing and deep directories", () => {
  test("commit() hashes thousands of files and large ones by the way that is not in place", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({});
    mkdirSync(`${upper}/workspace/many`, { recursive: true });
    for (let index = 0; index < 6_000; index++) writeFileSync(`${upper}/workspace/many/${index}`, `${index % 7}`);
    const large = Buffer.alloc(3_500_000, "large");
    for (const name of ["l1", "l2", "l3"]) writeFileSync(`${upper}/workspace/${name}`, large);
    const layer = await fixture.store.layers.commit({ upper, maskedDirectories: NONE });
    const entries = new Map(fixture.store.layers.tree(layer.digest).map((each) => [each.path, each.digest]));
    expect(entries.size).toBe(6_005);
    for (let index = 0; index < 6_000; index++)
      expect(entries.get(`workspace/many/${index}`)).toBe(digestOf(`${index % 7}`));
    for (const name of ["l1", "l2", "l3"]) expect(entries.get(`workspace/${name}`)).toBe(digestOf(large));
  });

  test("commit() notices a file that changes while it is hashed", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({});
    mkdirSync(`${upper}/workspace`);
    writeFileSync(`${upper}/workspace/large`, Buffer.alloc(300_000_000));
    const commit = fixture.store.layers.commit({ upper, maskedDirectories: NONE }).then(
      () => "kept",
      (error: unknown) => error,
    );
    let writes = 0;
    const ended = { done: false };
    void commit.finally(() => {
      ended.done = true;
    });
    while (!ended.done) {
      if (existsSync(`${upper}/workspace/large`))
        writeFileSync(`${upper}/workspace/large`, `${writes++}`, { flag: "a" });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await commit).toMatchObject({ code: "io.failed" });
    expect(String(await commit)).toContain("changed while it was read");
    expect(existsSync(upper)).toBe(true);
  });

  test("commit() stops when it is asked to", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({});
    mkdirSync(`${upper}/workspace`);
    writeFileSync(`${upper}/workspace/large`, "");
    // Almost endless to read, and no room on disk.
    await Bun.$`truncate -s 1T ${upper}/workspace/large`.quiet();
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 30);
    const outcome = await fixture.store.layers
      .commit({ upper, maskedDirectories: NONE, signal: abort.signal })
      .catch((error: unknown) => error);
    expect(outcome).toMatchObject({ name: "AbortError" });
  });

  test("commit() refuses a tree that is too deep, and discard() removes it all the same", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({});
    makeNested(upper, "deep-directory-name", 700);
    const outcome = await fixture.store.layers
      .commit({ upper, maskedDirectories: NONE })
      .catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: "io.failed" });
    expect(String(outcome)).toContain("deeper than");
    fixture.store.discard(upper);
    await fixture.store.settled();
    expect(readdirSync(fixture.store.paths.tmp)).toEqual([]);
  });

  test("commit() reads paths longer than the kernel takes at once", async () => {
    await using fixture = new Fixture();
    const upper = fixture.upper({});
    makeNested(upper, "d".repeat(200), 60);
    const layer = await fixture.store.layers.commit({ upper, maskedDirectories: NONE });
    expect(fixture.store.layers.tree(layer.digest).at(-1)?.digest).toBe(digestOf("deep"));
    expect(await fixture.store.layers.verify(layer.digest)).toBe(true);
    fixture.store.layers.drop(layer.digest);
  });
});

describe("Layers.verify()", () => {
  test("verify() drops a layer whose directory is not what it should be", async () => {
    await using fixture = new Fixture();
    const layer = await fixture.commit({ "workspace/a": "good" });
    writeFileSync(`${fixture.store.layers.directory(layer.digest)}/workspace/a`, "evil");
    expect(await fixture.store.layers.verify(layer.digest)).toBe(false);
    expect(fixture.store.layers.has(layer.digest)).toBe(false);
    expect(fixture.store.warnings.map(({ code }) => code)).toEqual(["layer-dropped"]);
  });

  test("verify() of a layer whose directory is gone is false", async () => {
    await using fixture = new Fixture();
    const layer = await fixture.commit({ "workspace/a": "good" });
    rmSync(fixture.store.layers.directory(layer.digest), { recursive: true });
    expect(fixture.store.layers.has(layer.digest)).toBe(false);
    expect(await fixture.store.layers.verify(layer.digest)).toBe(false);
  });
});

describe("Layers.view()", () => {
  test("view() remembers what it computed for the same content and filter", async () => {
    await using fixture = new Fixture();
    const one = await fixture.commit({ "workspace/a": "1", "workspace/b": "2" });
    const other = await fixture.commit({ "workspace/a": "1", "workspace/b": "2", "etc/c": "3" });
    const filter = compileFilter([{ pattern: "a", cacheKey: "included" }]);
    const view = fixture.store.layers.view([one], filter);
    expect(view).toMatchObject({ hidden: ["workspace/b"], keptCount: 1, unmatched: [] });
    expect(fixture.store.layers.view([other], filter)).toEqual(view);
    const tree = fixture.store.layers.viewTree([one], filter).keyTree;
    expect(tree.map(({ path }) => path)).toEqual(["workspace/a"]);
    expect(fixture.store.blobs.has(view.keyDigest)).toBe(true);
    expect(fixture.store.layers.view([one], KEEP_ALL).keyDigest).not.toBe(view.keyDigest);
  });
});

describe("Layers.mask()", () => {
  testIf("whiteouts", "mask() makes whiteouts under directories with the attributes they have below", async () => {
    await using fixture = new Fixture();
    const parents = [{ path: "workspace", mode: 0o711, uid: 0, gid: 0 }];
    const directory = fixture.store.layers.mask(["workspace/a", "workspace/b"], parents);
    expect(readdirSync(`${directory}/workspace`).toSorted()).toEqual(["a", "b"]);
    expect(statSync(`${directory}/workspace`).mode & 0o7777).toBe(0o711);
    expect(lstatSync(`${directory}/workspace/a`).isCharacterDevice()).toBe(true);
    expect(fixture.store.layers.mask(["workspace/b", "workspace/a"], parents)).toBe(directory);
  });
});

describe("Layers.lowers()", () => {
  test("lowers() flattens a stack that is too deep into one layer of the same content", async () => {
    await using fixture = new Fixture();
    const layers = [];
    for (let index = 0; index < 5; index++)
      layers.push(await fixture.commit({ [`workspace/f${index}`]: `${index}`, "workspace/same": `${index}` }));
    const digests = layers.map(({ digest }) => digest);
    const { layers: store } = fixture.store;
    expect(await store.lowers(digests, { most: 5 })).toEqual(digests.map((digest) => store.directory(digest)));
    const [flat = "", ...rest] = await store.lowers([EMPTY_LAYER.digest, ...digests], { most: 3 });
    expect(rest).toEqual([]);
    expect(readdirSync(`${flat}/workspace`).toSorted()).toEqual(["f0", "f1", "f2", "f3", "f4", "same"]);
    expect(readFileSync(`${flat}/workspace/same`, "utf8")).toBe("4");
    expect(statSync(`${flat}/workspace/f0`).ino).toBe(
      statSync(`${store.directory(digests[0] ?? EMPTY_LAYER.digest)}/workspace/f0`).ino,
    );
    expect(await store.verify((await store.flatten(digests)).digest)).toBe(true);
  });

  test("lowers() names a layer that is missing", async () => {
    await using fixture = new Fixture();
    const outcome = await fixture.store.layers.lowers([digestOf("none")], { most: 9 }).catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: "blob.missing" });
  });
});
