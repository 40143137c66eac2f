import { expect, test } from "bun:test";
import { InTurn } from "../../src/mesh/in-turn.ts";

test("InTurn deals with events that come up meanwhile after the one that brought them up, in order", () => {
  const taken: string[] = [];
  const turn: InTurn<string> = new InTurn((event) => {
    taken.push(`${event} begins`);
    if (event === "a") expect([turn.add("b"), turn.add("c")]).toEqual([false, false]);
    taken.push(`${event} ends`);
  });
  expect(turn.add("a")).toBe(true);
  expect(taken).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
});

test("InTurn takes further events after one that failed", () => {
  const taken: string[] = [];
  const turn = new InTurn<string>((event) => {
    if (event === "bad") throw new Error("no");
    taken.push(event);
  });
  expect(() => turn.add("bad")).toThrow("no");
  turn.add("good");
  expect(taken).toEqual(["good"]);
});
