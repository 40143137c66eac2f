import { expect, test } from "bun:test";
import { closeSync, openSync, statSync, writeSync } from "node:fs";
import { errnoOf } from "../../../src/base/errors.ts";
import { ExecutableImage, ImageCache } from "../../../src/oci/io/spawn-image.ts";
import { type ContextImage, emitImage } from "../../../src/oci/runtime/emit.ts";
import { call } from "../../../src/oci/runtime/setup-op.ts";

function exiting(code: number): ContextImage {
  const architecture = process.arch === "arm64" ? "arm64" : "x64";
  return emitImage({ variables: {}, operations: [call("end", "exit_group", [code])] }, architecture);
}

function exitCode(image: ExecutableImage): number {
  return image.use((path) => Bun.spawnSync([path]).exitCode);
}

test("ExecutableImage.use() gives a program that runs, and keeps its file from the second time on", () => {
  const image = new ExecutableImage(exiting(7));
  const files = [1, 2, 3].map(() => image.use((path) => statSync(path).ino));
  expect(exitCode(image)).toBe(7);
  expect(files[2]).toBe(files[1] ?? 0);
  image.close();
  expect(image.use((path) => statSync(path).ino)).not.toBe(files[1] ?? 0);
  image.close();
});

test("ExecutableImage.use() gives a file that nobody can change", () => {
  const image = new ExecutableImage(exiting(0));
  const refusal = image.use((path) => {
    const fd = openSync(path, "r+");
    try {
      return String(writeSync(fd, "x"));
    } catch (error) {
      return errnoOf(error);
    } finally {
      closeSync(fd);
    }
  });
  expect(refusal).toBe("EPERM");
});

test("ImageCache.get() asks for a program once, and again when 64 others came between", () => {
  const cache = new ImageCache();
  let made = 0;
  const get = (key: string) =>
    cache.get(key, () => {
      made++;
      return exiting(0);
    });
  expect(get("a")).toBe(get("a"));
  expect(made).toBe(1);
  for (let other = 0; other < 64; other++) get(`other ${other}`);
  get("a");
  expect(made).toBe(66);
  cache.close();
});
