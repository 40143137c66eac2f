import { describe, expect, test } from "bun:test";
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { MeshError } from "../../src/base/errors.ts";
import { safeCopy, staysInside } from "../../src/cli/safe-copy.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary.ts";

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof MeshError) return error.message;
    throw error;
  }
  throw new Error("expected a refusal");
}

/** A folder artifact: `files` by path, `links` by path to target. */
function artifact(folder: TemporaryFolder, files: Record<string, string>, links: Record<string, string> = {}): string {
  const source = folder.join("store");
  for (const path of [...Object.keys(files), ...Object.keys(links)])
    mkdirSync(folder.join("store", path, ".."), { recursive: true });
  for (const [path, content] of Object.entries(files))
    writeFileSync(folder.join("store", path), content, { mode: 0o755 });
  for (const [path, target] of Object.entries(links)) symlinkSync(target, folder.join("store", path));
  return source;
}

describe("safeCopy()", () => {
  test("copies a folder with its modes and inner links", () => {
    using folder = temporaryFolder();
    const source = artifact(folder, { "a/b": "content", c: "x" }, { "a/link": "../c" });
    const copied = safeCopy({ source, root: folder.join("out"), path: ["task", "name"], mode: 0o755, force: false });
    expect(copied).toEqual({ path: folder.join("out/task/name"), files: 3, sizeBytes: 8 });
    expect(readFileSync(folder.join("out/task/name/a/link"), "utf8")).toBe("x");
    expect(readlinkSync(folder.join("out/task/name/a/link"))).toBe("../c");
    expect(lstatSync(folder.join("out/task/name/a/b")).mode & 0o777).toBe(0o755);
  });

  test("refuses links that lead out, also through another link", () => {
    for (const target of ["/etc/passwd", "../../secret", "..", "a/../../x"]) {
      using folder = temporaryFolder();
      const source = artifact(folder, { c: "x" }, { "a/link": target === ".." ? "../.." : target });
      expect(
        refusal(() => safeCopy({ source, root: folder.join("out"), path: ["n"], mode: 0o644, force: false })),
      ).toContain("outside of the artifact");
    }
  });

  test("refuses names that are more than a name", () => {
    using folder = temporaryFolder();
    const source = artifact(folder, { c: "x" });
    for (const name of ["..", ".", "", "a/b", "/etc"]) {
      expect(
        refusal(() => safeCopy({ source, root: folder.join("out"), path: ["t", name], mode: 0o644, force: true })),
      ).toContain("no name of a file");
    }
  });

  test("writes neither over a file nor through a link that lies in its way", () => {
    using folder = temporaryFolder();
    const source = artifact(folder, { c: "new" });
    mkdirSync(folder.join("out/n"), { recursive: true });
    mkdirSync(folder.join("elsewhere"));
    writeFileSync(folder.join("precious"), "old");
    symlinkSync(folder.join("precious"), folder.join("out/n/c"));
    const copy = (force: boolean, path = ["n"]) =>
      safeCopy({ source, root: folder.join("out"), path, mode: 0o644, force });
    expect(refusal(() => copy(false))).toContain("it exists");
    copy(true);
    expect(readFileSync(folder.join("precious"), "utf8")).toBe("old");
    expect(readFileSync(folder.join("out/n/c"), "utf8")).toBe("new");
    symlinkSync(folder.join("elsewhere"), folder.join("out/m"));
    expect(refusal(() => copy(true, ["m", "n"]))).toContain("it is a link");
    expect(existsSync(folder.join("elsewhere/n"))).toBe(false);
  });

  test("takes setuid bits away and refuses to replace a folder by a file", () => {
    using folder = temporaryFolder();
    const source = folder.join("file");
    writeFileSync(source, "x");
    safeCopy({ source, root: folder.join("out"), path: ["n"], mode: 0o4755, force: false });
    expect(lstatSync(folder.join("out/n")).mode & 0o7777).toBe(0o755);
    mkdirSync(folder.join("out/d"));
    expect(
      refusal(() => safeCopy({ source, root: folder.join("out"), path: ["d"], mode: 0o644, force: true })),
    ).toContain("folder of this name");
  });
});

test("staysInside() allows steps up only at the beginning, and no more than there are folders", () => {
  expect(["a", "./a/b", "../a", "..", "a//b"].map((target) => staysInside(target, 1))).toEqual([
    true,
    true,
    true,
    true,
    true,
  ]);
  expect(["/a", "../../a", "a/../..", "a/../b", ""].map((target) => staysInside(target, 1))).toEqual([
    false,
    false,
    false,
    false,
    false,
  ]);
});
