import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { decodeFrames, type LogFrame } from "../../../src/store/log-frames.ts";
import { Store } from "../../../src/store/io/store.ts";
import { TemporaryDirectory } from "../support.ts";

const BOUNDS = { headBytes: 1_000, tailBytes: 100, inlineBytes: 300 };
const TASK = { run: "r1", task: "build" };

function text(frames: readonly LogFrame[]): string {
  return frames
    .map((frame) => (frame.kind === "dropped" ? `<${frame.droppedBytes}>` : Buffer.from(frame.bytes).toString()))
    .join("");
}

describe("LogWriter", () => {
  test("LogWriter keeps a short log in place and in order", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const log = store.openLog(TASK, BOUNDS);
    log.write("stdout", 1, Buffer.from("out "));
    log.write("stderr", 2, Buffer.from("err "));
    log.write("stdout", 3, Buffer.from("out"));
    const ref = await log.finish();
    expect(ref.kind).toBe("inline");
    expect(
      decodeFrames(store.readLog(ref)).map((frame) => frame.kind === "output" && [frame.stream, frame.atMs]),
    ).toEqual([
      ["stdout", 1],
      ["stderr", 2],
      ["stdout", 3],
    ]);
    expect(readdirSync(store.paths.runs)).toEqual([]);
  });

  test("LogWriter keeps head and tail of a long log and says what is missing", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const log = store.openLog(TASK, BOUNDS);
    const lines = Array.from({ length: 1_000 }, (_, index) => `line ${String(index).padStart(4, "0")}\n`);
    for (const [index, line] of lines.entries()) log.write("stdout", index, Buffer.from(line));
    const ref = await log.finish();
    const shown = text(decodeFrames(store.readLog(ref)));
    const whole = lines.join("");
    const [head = "", rest = ""] = shown.split("<");
    const [count = "", tail = ""] = rest.split(">");
    expect(head).toBe(whole.slice(0, 1_000));
    expect(tail.length).toBeGreaterThanOrEqual(100);
    expect(tail.length).toBeLessThan(120);
    expect(whole.endsWith(tail)).toBe(true);
    expect(head.length + Number(count) + tail.length).toBe(whole.length);
    expect(ref.kind).toBe("blob");
    expect(existsSync(log.path)).toBe(false);
  });

  test("LogWriter holds only the tail of one huge write", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const log = store.openLog(TASK, BOUNDS);
    log.write("stdout", 0, Buffer.alloc(5_000_000, "x"));
    const frames = decodeFrames(store.readLog(await log.finish()));
    expect(frames.map((frame) => (frame.kind === "dropped" ? frame.droppedBytes : frame.bytes.length))).toEqual([
      1_000, 4_998_900, 100,
    ]);
  });

  test("LogWriter can be followed while it writes", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    const log = store.openLog(TASK);
    log.write("stdout", 0, Buffer.alloc(70_000, "x"));
    expect(decodeFrames(readFileSync(log.path)).length).toBe(1);
    log.write("stdout", 0, Buffer.from("more"));
    log.discard();
    expect(existsSync(log.path)).toBe(false);
  });

  test("LogWriter of a silent task is the empty log", async () => {
    using directory = new TemporaryDirectory();
    using store = Store.open(directory.path);
    expect(await store.openLog(TASK).finish()).toEqual({ kind: "inline", base64: "", sizeBytes: 0 });
  });
});
