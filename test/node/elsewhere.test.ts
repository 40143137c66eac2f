import { expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { Elsewhere } from "../../src/node/elsewhere.ts";
import type { Timers } from "../../src/node/timers.ts";

test("Elsewhere looks once for all that wait, and names those whose key is free", () => {
  const due: (() => void)[] = [];
  const timers = { later: (_: number, act: () => void) => void due.push(act) } as unknown as Timers;
  const held = new Set([digestOf("a"), digestOf("b")]);
  let looks = 0;
  const list = () => {
    looks++;
    return [...held].map((key) => ({ key })) as never;
  };
  const over: string[] = [];
  const elsewhere = new Elsewhere({ list }, timers, (key, round) => over.push(`${key}${round}`));
  elsewhere.wait("x", 1, digestOf("a"));
  elsewhere.wait("y", 2, digestOf("b"));
  const look = () => {
    for (const act of due.splice(0)) act();
  };
  look();
  expect([over, looks]).toEqual([[], 1]);
  held.delete(digestOf("a"));
  look();
  held.clear();
  look();
  look();
  expect([over, looks]).toEqual([["x1", "y2"], 3]);
});
