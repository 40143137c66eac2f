import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { digestOf } from "../../../src/base/digest.ts";
import { check } from "../../../src/store/io/errno.ts";
import * as raw from "../../../src/store/io/raw-files.ts";
import { testIf } from "../../support/require.ts";
import { SourceFixture as Fixture } from "./source-fixture.ts";

describe("Artifacts.capture()", () => {
  testIf("whiteouts", "capture() finds files and directories over a stack, deletions honoured", async () => {
    using fixture = new Fixture({
      "lower/out/a": "old",
      "lower/out/gone": "x",
      "lower/out/deep/b": "b",
      "upper/out/a": "new",
      "upper/f": "file",
    });
    const stack = [`${fixture.source}/upper`, `${fixture.source}/lower`];
    check(raw.makeWhiteoutAt(raw.HERE, `${fixture.source}/upper/out/gone`), "make", "gone");
    const file = await fixture.store.artifacts.capture({ key: "f", stack, path: "/f", immutable: false });
    expect(file).toMatchObject({ kind: "file", digest: digestOf("file"), sizeBytes: 4, name: "f" });
    const directory = await fixture.store.artifacts.capture({ key: "out", stack, path: "/out/", immutable: false });
    expect(directory).toMatchObject({ kind: "directory", name: "out", sizeBytes: 4 });
    const target = `${fixture.directory.path}/download`;
    expect(await fixture.store.artifacts.materialize(directory, target)).toEqual({ pointingOut: [] });
    expect(
      readdirSync(target, { recursive: true })
        .map(String)
        .toSorted((a, b) => (a < b ? -1 : 1)),
    ).toEqual(["a", "deep", "deep/b"]);
    expect(readFileSync(`${target}/a`, "utf8")).toBe("new");
    await fixture.store.artifacts.materialize(file, `${target}/file`);
    expect(readFileSync(`${target}/file`, "utf8")).toBe("file");
  });

  test("capture() follows links inside the stack and never out of it", async () => {
    using fixture = new Fixture({ "root/real/x": "inside", "secret/x": "outside" });
    const stack = [`${fixture.source}/root`];
    symlinkSync("/real", `${fixture.source}/root/absolute`);
    symlinkSync("../../../../../../../../real", `${fixture.source}/root/climbing`);
    symlinkSync(`${fixture.source}/secret`, `${fixture.source}/root/escape`);
    symlinkSync("loop", `${fixture.source}/root/loop`);
    const capture = (path: string) =>
      fixture.store.artifacts.capture({ key: "k", stack, path, immutable: true }).catch((error: unknown) => error);
    expect(await capture("absolute/x")).toMatchObject({ digest: digestOf("inside") });
    expect(await capture("climbing/x")).toMatchObject({ digest: digestOf("inside") });
    expect(await capture("../../root/../real/x")).toMatchObject({ code: "artifact.not-found" });
    expect(await capture("escape/x")).toMatchObject({ code: "artifact.not-found" });
    expect(await capture("loop")).toMatchObject({ code: "io.failed" });
    expect(await capture("nothing")).toMatchObject({ code: "artifact.not-found" });
  });

  test("materialize() makes links as they are, names those that lead out, and follows none", async () => {
    using fixture = new Fixture({ "out/a/f": "f" });
    symlinkSync("../..", `${fixture.source}/out/a/up`);
    symlinkSync("f", `${fixture.source}/out/a/fine`);
    symlinkSync("/etc", `${fixture.source}/out/etc`);
    const artifact = await fixture.store.artifacts.capture({
      key: "out",
      stack: [fixture.source],
      path: "out",
      immutable: false,
    });
    const target = `${fixture.directory.path}/download`;
    expect(await fixture.store.artifacts.materialize(artifact, target)).toEqual({ pointingOut: ["a/up", "etc"] });
    expect(readlinkSync(`${target}/etc`)).toBe("/etc");
    const outcome = await fixture.store.artifacts.materialize(artifact, target).catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: "io.failed" });
  });

  test("materialize() refuses a blob that is corrupt and takes setuid off", async () => {
    using fixture = new Fixture({ tool: "tool" });
    chmodSync(`${fixture.source}/tool`, 0o4755);
    const artifact = await fixture.store.artifacts.capture({
      key: "t",
      stack: [fixture.source],
      path: "tool",
      immutable: false,
    });
    const target = `${fixture.directory.path}/tool`;
    await fixture.store.artifacts.materialize(artifact, target);
    expect(lstatSync(target).mode & 0o7777).toBe(0o755);
    writeFileSync(fixture.store.blobs.path(artifact.digest), "evil");
    const outcome = await fixture.store.artifacts.materialize(artifact, `${target}2`).catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: "blob.corrupt" });
    expect(existsSync(`${target}2`)).toBe(false);
  });

  test("capture() of an empty directory can be given back", async () => {
    using fixture = new Fixture({});
    mkdirSync(`${fixture.source}/empty`);
    const artifact = await fixture.store.artifacts.capture({
      key: "e",
      stack: [fixture.source],
      path: "empty",
      immutable: false,
    });
    await fixture.store.artifacts.materialize(artifact, `${fixture.directory.path}/back`);
    expect(readdirSync(`${fixture.directory.path}/back`)).toEqual([]);
    await fixture.store.settled();
    expect(readdirSync(fixture.store.paths.tmp)).toEqual([]);
  });
});
