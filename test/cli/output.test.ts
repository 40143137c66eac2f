import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { FileOutput } from "../../src/cli/output.ts";
import { temporaryFolder } from "../support/temporary.ts";

describe("FileOutput", () => {
  test("gathers text, keeps the order of text and bytes, and flushes by itself", async () => {
    using folder = temporaryFolder();
    const fd = openSync(folder.join("out"), "w");
    const output = new FileOutput(fd, () => {});
    output.write("a");
    output.write(new Uint8Array([98]));
    output.write("c");
    expect(readFileSync(folder.join("out"), "utf8")).toBe("ab");
    await Promise.resolve();
    expect(readFileSync(folder.join("out"), "utf8")).toBe("abc");
    closeSync(fd);
  });

  test("is silent once the reader has gone, and says so once", () => {
    using folder = temporaryFolder();
    const fifo = folder.join("fifo");
    Bun.spawnSync(["mkfifo", fifo]);
    const reader = openSync(fifo, "r+");
    const writer = openSync(fifo, "w");
    let closed = 0;
    const output = new FileOutput(writer, () => closed++);
    output.write("seen");
    output.flush();
    expect(readSync(reader, Buffer.alloc(4))).toBe(4);
    closeSync(reader);
    output.write("lost");
    output.flush();
    output.write("lost too");
    output.flush();
    expect([output.closed, closed]).toEqual([true, 1]);
    closeSync(writer);
  });

  test("isTerminal is true of a pseudo-terminal alone: not of a file, a pipe, the null device, or what is closed", () => {
    using folder = temporaryFolder();
    const isTerminal = (path: string, flags: string) => {
      const fd = openSync(path, flags);
      try {
        return new FileOutput(fd, () => {}).isTerminal;
      } finally {
        closeSync(fd);
      }
    };
    const fifo = folder.join("fifo");
    Bun.spawnSync(["mkfifo", fifo]);
    expect(isTerminal("/dev/ptmx", "r+")).toBe(true);
    expect(isTerminal("/dev/null", "w")).toBe(false);
    expect(isTerminal(folder.join("out"), "w")).toBe(false);
    expect(isTerminal(fifo, "r+")).toBe(false);
    expect(new FileOutput(999_999, () => {}).isTerminal).toBe(false);
  });
});
