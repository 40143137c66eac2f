import { expect, test } from "bun:test";
import { type Ability, abilityLines } from "../../../src/cli/commands/doctor.ts";
import { makeStyle } from "../../../src/cli/text/style.ts";

test("abilityLines() puts the remedy below what is missing", () => {
  const ability = (title: string, holds: boolean, more: Partial<Ability> = {}): Ability => ({
    name: title,
    title,
    holds,
    required: false,
    detail: "found",
    remedy: "do this",
    ...more,
  });
  const abilities = [
    ability("git", true),
    ability("nat", false),
    ability("user namespaces", false, { required: true, detail: "EPERM", remedy: "line 1\nline 2" }),
  ];
  expect(abilityLines(abilities, false, makeStyle(false))).toEqual([
    "✓ git              found",
    "- nat              found",
    "                   do this",
    "✗ user namespaces  EPERM",
    "                   line 1",
    "                   line 2",
    "",
    "✗ Tasks cannot be isolated here. `mesh run --isolation process` runs them without any isolation.",
  ]);
});
