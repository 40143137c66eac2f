// Tests that need something of the machine: `testIf` and `describeIf` run them where it is there, and else skip them with
// the reason in their name. Under MESH_TEST_REQUIRE=1 they fail instead, unless nobody could provide what is missing.

import { describe, test } from "bun:test";
import { skipSuffix } from "../../scripts/support/junit.ts";
import { ABILITIES, type Ability, type AbilityName } from "./abilities.ts";

type TestBody = () => void | Promise<void>;

/** What to do with a test: run it, skip it or fail it, with the reason. */
type Verdict = { readonly kind: "run" } | { readonly kind: "skip" | "fail"; readonly reason: string };

/** Declares a test that needs one ability or several. `timeoutMs` replaces the suite's. */
export function testIf(
  needs: AbilityName | readonly AbilityName[],
  name: string,
  body: TestBody,
  timeoutMs?: number,
): void {
  const verdict = verdictOn(needs);
  switch (verdict.kind) {
    case "run":
      test(name, body, timeoutMs);
      return;
    case "skip":
      test.skip(name + skipSuffix(verdict.reason), body);
      return;
    case "fail":
      test(name, () => failFor(verdict.reason));
  }
}

/** Declares a group of tests all of which need the same. */
export function describeIf(needs: AbilityName | readonly AbilityName[], name: string, body: () => void): void {
  const verdict = verdictOn(needs);
  switch (verdict.kind) {
    case "run":
      describe(name, body);
      return;
    case "skip":
      describe.skip(name + skipSuffix(verdict.reason), body);
      return;
    case "fail":
      test(name, () => failFor(verdict.reason));
  }
}

function verdictOn(needs: AbilityName | readonly AbilityName[]): Verdict {
  const names = typeof needs === "string" ? [needs] : needs;
  return judge(names, names.map(known), process.env["MESH_TEST_REQUIRE"] === "1");
}

function failFor(reason: string): never {
  throw new Error(`This machine could run the test but lacks something: ${reason}`);
}

interface Probed {
  readonly from: Ability["from"];
  readonly reason: string | null;
}

/** Decides about a test from what was found out about its needs. */
export function judge(names: readonly string[], probed: readonly Probed[], isStrict: boolean): Verdict {
  const missing = probed.flatMap(({ from, reason }, index) =>
    reason === null ? [] : [{ from, text: `${names[index] ?? ""}: ${reason}` }],
  );
  if (missing.length === 0) return { kind: "run" };
  const reason = missing.map(({ text }) => text).join("; ");
  // What no package gives excuses the test, whatever else is missing.
  const isExcused = missing.some(({ from }) => from === "machine");
  return { kind: isStrict && !isExcused ? "fail" : "skip", reason };
}

const found = new Map<AbilityName, Probed>();

function known(name: AbilityName): Probed {
  const ability = ABILITIES[name];
  const probed = found.get(name) ?? { from: ability.from, reason: ability.lacks() };
  found.set(name, probed);
  return probed;
}
