import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LIMITS } from "../../src/base/limits.ts";
import { makeWhiteout } from "../../src/base/io/libc.ts";
import { type LeftBehind, collectArtifacts, collectTestResults, findFile } from "../../src/node/artifacts.ts";
import { Written, makeIoFolders } from "../../src/node/outputs.ts";
import type { CommandWork } from "../../src/node/work.ts";
import { Store } from "../../src/store/io/store.ts";
import { HERE, makeFifoAt } from "../../src/store/io/raw-files.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { testIf } from "../support/require.ts";

/** A task's filesystem, topmost first: what it changed, and one layer below. */
class Fixture implements Disposable {
  readonly #folder = temporaryFolder();
  readonly store = Store.open(this.#folder.join("home"));
  readonly outside = this.#folder.join("outside");
  readonly #roots = [this.#folder.join("upper"), this.#folder.join("layer")];
  readonly io = this.#folder.join("io");

  constructor() {
    for (const folder of [...this.#roots, this.io]) mkdirSync(folder);
    makeIoFolders(this.io);
    writeFileSync(this.outside, "the machine's");
  }

  [Symbol.dispose](): void {
    this.store[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }

  upper(path: string): string {
    return this.#at(0, path);
  }

  layer(path: string): string {
    return this.#at(1, path);
  }

  left(work: Partial<CommandWork>): LeftBehind {
    const whole = { artifactPaths: [], testResults: [], ...work } as unknown as CommandWork;
    return { work: whole, written: new Written(this.io), roots: this.#roots, store: this.store };
  }

  get roots(): readonly string[] {
    return this.#roots;
  }

  read(digest: string): string {
    return Buffer.from(this.store.blobs.read(digest as never)).toString();
  }

  #at(index: number, path: string): string {
    const full = join(this.#roots[index] ?? "", path);
    mkdirSync(dirname(full), { recursive: true });
    return full;
  }
}

const declared = (path: string): Partial<CommandWork> => ({ artifactPaths: [{ key: "a", path }] });

describe("collectArtifacts()", () => {
  test("collectArtifacts() takes files of the upper directory and of layers, relative to the workspace or absolute", async () => {
    using fixture = new Fixture();
    writeFileSync(fixture.upper("workspace/x"), "new");
    writeFileSync(fixture.layer("workspace/x"), "old");
    writeFileSync(fixture.layer("opt/y"), "y");
    const paths = [
      { key: "x", path: "x" },
      { key: "y", path: "/opt/y" },
    ];
    const artifacts = await collectArtifacts(fixture.left({ artifactPaths: paths }), true);
    expect(artifacts.map(({ key, digest }) => [key, fixture.read(digest)])).toEqual([
      ["x", "new"],
      ["y", "y"],
    ]);
  });

  testIf("whiteouts", "collectArtifacts() merges a directory over the layers", async () => {
    using fixture = new Fixture();
    writeFileSync(fixture.layer("workspace/out/old"), "old");
    writeFileSync(fixture.layer("workspace/out/gone"), "gone");
    writeFileSync(fixture.upper("workspace/out/new"), "new");
    makeWhiteout(fixture.upper("workspace/out/gone"));
    const [artifact] = await collectArtifacts(fixture.left(declared("out")), true);
    const names = fixture.store.layers.tree(artifact?.digest as never).map(({ path }) => path);
    expect([artifact?.kind, names]).toEqual(["directory", ["new", "old"]]);
  });

  test("collectArtifacts() follows links inside the task's root only", async () => {
    using fixture = new Fixture();
    writeFileSync(fixture.upper("etc/secret"), "the task's own");
    symlinkSync("/etc/secret", fixture.upper("workspace/absolute"));
    symlinkSync("../../../../../../etc/secret", fixture.upper("workspace/climbing"));
    for (const path of ["absolute", "climbing"]) {
      const [artifact] = await collectArtifacts(fixture.left(declared(path)), true);
      expect(fixture.read(artifact?.digest ?? "")).toBe("the task's own");
    }
    symlinkSync(fixture.outside, fixture.upper("workspace/out"));
    expect(collectArtifacts(fixture.left(declared("out")), true)).rejects.toThrow("left nothing at out");
  });

  test("collectArtifacts() says what cannot be an artifact", async () => {
    using fixture = new Fixture();
    symlinkSync("loop", fixture.upper("workspace/loop"));
    makeFifoAt(HERE, fixture.upper("workspace/fifo"), 0o600);
    expect(collectArtifacts(fixture.left(declared("loop")), true)).rejects.toThrow("symlinks go in a circle");
    expect(collectArtifacts(fixture.left(declared("fifo")), true)).rejects.toThrow("neither a file nor a directory");
    expect(collectArtifacts(fixture.left(declared("none")), true)).rejects.toThrow("left nothing at none");
    expect(await collectArtifacts(fixture.left(declared("none")), false)).toEqual([]);
  });

  test("collectArtifacts() takes what was put into $MESH_ARTIFACTS, links as the task meant them", async () => {
    using fixture = new Fixture();
    writeFileSync(join(fixture.io, "artifacts/plain"), "plain");
    writeFileSync(fixture.upper("workspace/dist/app"), "app");
    symlinkSync("/workspace/dist/app", join(fixture.io, "artifacts/linked"));
    const artifacts = await collectArtifacts(fixture.left({}), true);
    expect(artifacts.map(({ key, name, digest }) => [key, name, fixture.read(digest)])).toEqual([
      ["linked", "linked", "app"],
      ["plain", "plain", "plain"],
    ]);
  });

  test("collectArtifacts() refuses a link out of the task, a FIFO, a name given twice, and too many", async () => {
    using out = new Fixture();
    symlinkSync(out.outside, join(out.io, "artifacts/out"));
    expect(collectArtifacts(out.left({}), true)).rejects.toThrow("links to what is no file of the task");
    using fifo = new Fixture();
    makeFifoAt(HERE, join(fifo.io, "artifacts/fifo"), 0o600);
    expect(collectArtifacts(fifo.left({}), true)).rejects.toThrow("neither a file nor a directory");
    using twice = new Fixture();
    writeFileSync(twice.upper("workspace/a"), "");
    writeFileSync(join(twice.io, "artifacts/a"), "");
    expect(collectArtifacts(twice.left(declared("a")), true)).rejects.toThrow("twice");
    using many = new Fixture();
    for (let at = 0; at <= LIMITS.outputEntries; at++) writeFileSync(join(many.io, `artifacts/${at}`), "");
    expect(collectArtifacts(many.left({}), true)).rejects.toThrow("are the most");
  });
});

describe("collectTestResults()", () => {
  test("collectTestResults() takes files by pattern and from $MESH_TEST_RESULTS, and misses none that is not there", async () => {
    using fixture = new Fixture();
    writeFileSync(fixture.upper("workspace/r/b.xml"), "b");
    writeFileSync(fixture.layer("workspace/r/a.xml"), "a");
    writeFileSync(fixture.upper("workspace/r/c.txt"), "c");
    writeFileSync(join(fixture.io, "test-results/d.xml"), "d");
    mkdirSync(join(fixture.io, "test-results/folder"));
    const testResults = [
      { path: "r/*.xml", framework: "JUnit", language: "Java" },
      { path: "none.xml", framework: null, language: null },
    ];
    const files = await collectTestResults(fixture.left({ testResults }));
    expect(
      files.map(({ path, framework, sizeBytes, digest }) => [path, framework, sizeBytes, fixture.read(digest)]),
    ).toEqual([
      ["r/a.xml", "JUnit", 1, "a"],
      ["r/b.xml", "JUnit", 1, "b"],
      ["d.xml", null, 1, "d"],
    ]);
  });
});

test("findFile() gives the path of a regular file only", () => {
  using fixture = new Fixture();
  writeFileSync(fixture.layer("workspace/report"), "r");
  mkdirSync(fixture.upper("workspace/folder"));
  symlinkSync(fixture.outside, fixture.upper("workspace/out"));
  expect(readFileSync(findFile("report", fixture.roots) ?? "", "utf8")).toBe("r");
  expect([findFile("folder", fixture.roots), findFile("out", fixture.roots), findFile("none", fixture.roots)]).toEqual([
    null,
    null,
    null,
  ]);
});
