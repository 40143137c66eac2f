import { describe, expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { MeshError } from "../../src/base/errors.ts";
import { ResultBuffer } from "../../src/node/result-buffer.ts";
import type { Store } from "../../src/store/io/store.ts";
import type { TaskResult } from "../../src/store/result.ts";

class FakeStore {
  readonly written: string[] = [];
  isFull = false;
  readonly results = { put: ({ task }: TaskResult) => this.written.push(`result ${task}`) };
  readonly claims = {
    release: (id: number) => this.written.push(`claim ${id}`),
    releaseLater: (ids: readonly number[]) => this.written.push(`later ${ids.join()}`),
  };

  batch(work: () => void): void {
    if (this.isFull) throw new MeshError("store.full", "no space left");
    this.written.push("batch");
    work();
  }
}

const resultOf = (task: string) => ({ key: digestOf(task), task }) as TaskResult;

describe("ResultBuffer", () => {
  test("flush() writes results before the claims they were for, in one batch, once", () => {
    const store = new FakeStore();
    const buffer = new ResultBuffer(store as unknown as Store);
    buffer.keep(resultOf("a"), {}, null);
    buffer.release(7);
    expect([buffer.get(digestOf("a"))?.task, buffer.ended]).toEqual(["a", [7]]);
    buffer.flush();
    buffer.flush();
    expect(store.written).toEqual(["batch", "result a", "claim 7"]);
    expect([buffer.get(digestOf("a")), buffer.ended]).toEqual([null, []]);
  });

  test("flush() keeps what could not be written for the next time", () => {
    const store = new FakeStore();
    const buffer = new ResultBuffer(store as unknown as Store);
    buffer.keep(resultOf("a"), {}, null);
    store.isFull = true;
    expect(() => buffer.flush()).toThrow("no space left");
    store.isFull = false;
    buffer.flush();
    expect(store.written).toEqual(["batch", "result a"]);
  });

  test("close() on a full disk says so, and leaves the claims to be given back when there is room", () => {
    const store = new FakeStore();
    const buffer = new ResultBuffer(store as unknown as Store);
    buffer.release(7);
    buffer.release(8);
    store.isFull = true;
    expect(() => buffer.close()).toThrow("no space left");
    expect(store.written).toEqual(["later 7,8"]);
  });
});
