import { expect, test } from "bun:test";
import { chooseBulk } from "../../src/mesh/bulk-choice.ts";

const connection = (name: string, serving: number, busy: number, isOpen = true) => ({ name, serving, busy, isOpen });

test("chooseBulk() takes the connection that sends the least from here, though more is asked for over it", () => {
  const [sending, asking] = [connection("sending", 1, 1), connection("asking", 0, 6)];
  expect(chooseBulk([sending, asking], "first")).toBe(asking);
  expect(chooseBulk([asking, sending], "last")).toBe(asking);
});

test("chooseBulk() shares what is asked for among connections that send alike", () => {
  const [busy, free] = [connection("busy", 0, 3), connection("free", 0, 2)];
  expect(chooseBulk([busy, free], "first")).toBe(free);
});

test("chooseBulk() lets the two ends of idle connections begin with different ones", () => {
  const [one, two] = [connection("one", 0, 0), connection("two", 0, 0)];
  expect(chooseBulk([one, two], "first")).toBe(one);
  expect(chooseBulk([one, two], "last")).toBe(two);
});

test("chooseBulk() passes by what is closing, and says when nothing is open", () => {
  const [closing, open] = [connection("closing", 0, 0, false), connection("open", 4, 9)];
  expect(chooseBulk([closing, open], "first")).toBe(open);
  expect(chooseBulk([closing], "first")).toBeNull();
});
