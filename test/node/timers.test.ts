import { expect, test } from "bun:test";
import { Timers } from "../../src/node/timers.ts";

test("Timers does what is due, hands faults over, and drops the rest when its owner ends", async () => {
  const seen: unknown[] = [];
  const both = Promise.withResolvers<void>();
  using timers = new Timers((error) => {
    seen.push((error as Error).message);
    both.resolve();
  });
  timers.later(0, () => seen.push("done"));
  timers.later(0, () => {
    throw new Error("broken");
  });
  timers.later(60_000, () => seen.push("never"));
  await both.promise;
  expect(seen).toEqual(["done", "broken"]);
});
