import { expect, test } from "bun:test";
import { makeAsk } from "../../src/sched/ask.ts";
import { Heap } from "../../src/sched/heap.ts";
import { compareReady, type Ready, ReadyQueue } from "../../src/sched/ready-queue.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

test("ReadyQueue gives its tasks in order after any mix of additions, removals and new ranks", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = new SeededRandom(seed);
    const queue = new ReadyQueue();
    const model = new Map<number, Ready & { readonly cpuMilli: number }>();
    for (let step = 0; step < 150; step++) {
      const index = random.below(40);
      const known = model.get(index);
      const rankMs = random.below(10);
      if (known === undefined) {
        const ready = { key: `t${index}`, index, attempt: 1, rankMs, expectedMs: null, readyAtMs: 0 };
        const cpuMilli = random.below(3);
        queue.add(ready, makeAsk({ cpuMilli }));
        model.set(index, { ...ready, cpuMilli });
      } else if (random.chance(0.5)) {
        expect(queue.remove(index)).toBe(true);
        model.delete(index);
      } else {
        queue.rerank(index, rankMs);
        model.set(index, { ...known, rankMs });
      }
    }
    expect(queue.size).toBe(model.size);
    for (const lane of queue.lanes()) {
      const expected = [...model.values()].filter(({ cpuMilli }) => cpuMilli === lane.ask.cpuMilli).sort(compareReady);
      expect([...lane.inOrder()].map(({ index }) => index)).toEqual(expected.map(({ index }) => index));
    }
    const heads = queue.lanes().map((lane) => [...lane.inOrder()][0]);
    expect(heads).toEqual(heads.toSorted((a, b) => (a && b ? compareReady(a, b) : 0)));
  }
});

test("ReadyQueue.remove() says when a task is not there", () => {
  expect(new ReadyQueue().remove(3)).toBe(false);
});

test("Heap gives the least first", () => {
  const random = new SeededRandom(1);
  const heap = new Heap<number>((a, b) => a - b);
  const numbers = Array.from({ length: 500 }, () => random.below(100));
  for (const number of numbers) heap.push(number);
  const taken = numbers.map(() => heap.pop());
  expect(taken).toEqual(numbers.toSorted((a, b) => a - b));
  expect(heap.pop()).toBeUndefined();
});
