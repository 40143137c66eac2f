import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../../../src/base/digest.ts";
import { IDENTITY_IDS } from "../../../src/store/ids.ts";
import { buildTree } from "../../../src/store/io/build-tree.ts";
import { Store } from "../../../src/store/io/store.ts";
import { mergeTrees, showsWhiteouts, underlayDirectories } from "../../../src/store/merged.ts";
import type { Tree } from "../../../src/store/tree.ts";
import { treeDigest } from "../../../src/store/tree-codec.ts";
import { randomLayer } from "../random-layer.ts";
import { entry, TemporaryDirectory, testSeed } from "../support.ts";
import { describeIf } from "../../support/require.ts";
import { SeededRandom } from "../../fake/seeded-random.ts";

/** Contents whose digests are those that random layers name. */
async function writeLayer(directory: string, tree: Tree): Promise<Tree> {
  const contents = `${directory}.contents`;
  for (const each of tree) {
    if (each.kind === "directory") mkdirSync(join(contents, each.path), { recursive: true });
    if (each.kind !== "file") continue;
    mkdirSync(join(contents, each.path, ".."), { recursive: true });
    writeFileSync(join(contents, each.path), contentOf(each.digest, each.path));
  }
  await buildTree(directory, { tree, sources: [contents], below: "", how: "copy", ids: IDENTITY_IDS });
  return tree;
}

function contentOf(digest: Digest | null, path: string): string {
  for (const name of [path, ...ALL_PATHS]) {
    for (let number = 0; number < 3; number++) {
      const content = `${name}${number}`;
      if (new Bun.CryptoHasher("sha256").update(content).digest("hex") === digest?.slice(7)) return content;
    }
  }
  throw new Error(`no content for ${path}`);
}

const NAMES = ["a", "b", "c", "a.b"];
const ALL_PATHS = ["workspace", "etc"].flatMap((top) =>
  NAMES.flatMap((one) => [
    `${top}/${one}`,
    ...NAMES.flatMap((two) => [`${top}/${one}/${two}`, ...NAMES.map((three) => `${top}/${one}/${two}/${three}`)]),
  ]),
);

function mountedDigests(target: string, stacks: readonly (readonly string[])[]): readonly string[] {
  const child = Bun.spawnSync(["unshare", "-m", process.execPath, join(import.meta.dir, "overlay-child.ts"), target], {
    stdin: Buffer.from(stacks.map((stack) => JSON.stringify(stack)).join("\n")),
    stderr: "inherit",
  });
  return child.stdout.toString().trim().split("\n");
}

describeIf("mount", "mergeTrees() against the kernel", () => {
  test("mergeTrees() shows what a mounted overlay shows", async () => {
    using directory = new TemporaryDirectory();
    const seed = testSeed();
    const random = new SeededRandom(seed);
    const expected: string[] = [];
    const stacks: string[][] = [];
    mkdirSync(`${directory.path}/target`);
    mkdirSync(`${directory.path}/empty`);
    for (let index = 0; index < 60; index++) {
      const trees: Tree[] = [];
      const stack: string[] = [];
      for (let count = 1 + random.below(4); count > 0; count--) {
        const path = `${directory.path}/${index}.${count}`;
        trees.push(await writeLayer(path, mergeTrees([randomLayer(random)], { asLayer: true })));
        stack.push(path);
      }
      const underlay = `${directory.path}/${index}.underlay`;
      mkdirSync(underlay);
      for (const path of underlayDirectories(trees)) mkdirSync(`${underlay}/${path}`);
      const skeleton = underlayDirectories(trees).map((path) => entry(path, "directory"));
      const shows = showsWhiteouts([skeleton, ...trees]);
      stacks.push([`${directory.path}/empty`, underlay, ...stack]);
      expected.push(shows ? "shows whiteouts" : treeDigest(mergeTrees(trees)));
    }
    expect({ seed, digests: mountedDigests(`${directory.path}/target`, stacks) }).toEqual({ seed, digests: expected });
  });
});

/** What a task does in a mounted overlay, as a shell script; then its upper directory is committed. */
function runTask(root: string, lowers: readonly string[], upper: string, script: string): void {
  for (const path of ["work", "merged"]) mkdirSync(`${root}/${path}`, { recursive: true });
  mkdirSync(upper, { recursive: true });
  const options = `userxattr,volatile,lowerdir=${lowers.toReversed().join(":")},upperdir=${upper},workdir=${root}/work`;
  const shell = `set -e; mount -t overlay overlay -o ${options} ${root}/merged; cd ${root}/merged; ${script}\ncd /; umount ${root}/merged; rm -rf ${root}/work`;
  const child = Bun.spawnSync(["unshare", "-m", "bash", "-c", shell]);
  if (child.exitCode !== 0) throw new Error(`task failed: ${child.stderr.toString()}`);
}

describeIf("mount", "Layers on a real overlay", () => {
  test("commit() keeps all that a task did to lower layers", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(`${directory.path}/home`);
    const scratch = `${store.paths.scratch}/t`;
    mkdirSync(`${directory.path}/empty`);
    mkdirSync(`${directory.path}/target`);
    runTask(
      scratch,
      [`${directory.path}/empty`],
      `${scratch}/upper`,
      "mkdir -p workspace/src workspace/old etc; echo one > workspace/src/one; echo two > workspace/src/two; echo x > workspace/old/x; echo conf > etc/conf; ln workspace/src/one workspace/hard",
    );
    const first = await store.layers.commit({ upper: `${scratch}/upper`, maskedDirectories: new Set() });
    runTask(
      scratch,
      [`${directory.path}/empty`, store.layers.directory(first.digest)],
      `${scratch}/upper`,
      [
        "rm workspace/src/one",
        "rm -r workspace/old; mkdir workspace/old; echo new > workspace/old/y",
        "chmod 750 workspace/src; echo more >> etc/conf",
        "ln -s ../../../../etc/shadow workspace/out; ln -s loop workspace/loop; mkfifo workspace/pipe",
        "printf a > $'workspace/new\\nline'; printf b > $'workspace/\\xff\\xfe'; touch workspace/sparse; truncate -s 100M workspace/sparse",
        "mkdir -p workspace/closed/in; echo secret > workspace/closed/in/f; chmod 000 workspace/closed/in/f workspace/closed",
        "printf p > workspace/p1; ln workspace/p1 workspace/p2; chmod 4755 workspace/p1; setfattr -n user.note -v hi workspace/p1 2>/dev/null || true",
      ].join("\n"),
    );
    const second = await store.layers.commit({ upper: `${scratch}/upper`, maskedDirectories: new Set() });
    const stack = [first.digest, second.digest];
    const merged = mergeTrees(stack.map((digest) => store.layers.tree(digest)));
    const [shown] = mountedDigests(`${directory.path}/target`, [
      [`${directory.path}/empty`, ...stack.map((digest) => store.layers.directory(digest))],
    ]);
    expect(shown).toBe(treeDigest(merged));
    const found = (path: string): Tree[number] | undefined => merged.find((each) => each.path === path);
    expect(found("workspace/src/one")).toBeUndefined();
    expect(found("workspace/old/x")).toBeUndefined();
    expect(found("workspace/new\nline")?.size).toBe(1);
    expect(found("workspace/\udcff\udcfe")?.size).toBe(1);
    expect(found("workspace/closed")?.mode).toBe(0);
    expect(found("workspace/p1")?.hardlink).toBe(found("workspace/p2")?.hardlink ?? -1);
    expect(found("workspace/p1")?.mode).toBe(0o4755);
    expect(await store.layers.verify(second.digest)).toBe(true);
    const flat = await store.layers.flatten(stack);
    const lowers = await store.layers.lowers([flat.digest], { most: 400 });
    expect(lowers.length).toBe(2);
    const [flatShown] = mountedDigests(`${directory.path}/target`, [lowers]);
    expect(flatShown).toBe(shown);
    await store.settled();
  });

  test("commit() of a directory made over a mask leaves what the mask hid", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(`${directory.path}/home`);
    const scratch = `${store.paths.scratch}/t`;
    mkdirSync(`${directory.path}/empty`);
    runTask(
      scratch,
      [`${directory.path}/empty`],
      `${scratch}/upper`,
      "mkdir -p workspace/gen; echo a > workspace/gen/a; echo b > workspace/b",
    );
    const first = await store.layers.commit({ upper: `${scratch}/upper`, maskedDirectories: new Set() });
    const mask = store.layers.mask(["workspace/gen"]);
    const lowers = [`${directory.path}/empty`, store.layers.directory(first.digest), mask];
    const script = "test ! -e workspace/gen; mkdir workspace/gen; echo fresh > workspace/gen/fresh";
    runTask(scratch, lowers, `${scratch}/upper`, script);
    const second = await store.layers.commit({
      upper: `${scratch}/upper`,
      maskedDirectories: new Set(["workspace/gen"]),
    });
    const merged = mergeTrees([first, second].map(({ digest }) => store.layers.tree(digest)));
    expect(merged.map(({ path }) => path)).toEqual([
      "workspace",
      "workspace/b",
      "workspace/gen",
      "workspace/gen/a",
      "workspace/gen/fresh",
    ]);
    await store.settled();
  });
});
