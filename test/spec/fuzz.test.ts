import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { parseDefinition } from "../../src/spec/parse.ts";
import { renderDiagnostics } from "../../src/spec/render.ts";
import { seeded } from "./seeded.ts";

const FIXTURES = new URL("../fixtures/rwx/", import.meta.url).pathname;
const ROUNDS = 400;
/** Seeds that once found a fault are kept. */
const SEEDS = [1, 2, 3, 20_261];

const PIECES = [
  "${{",
  "}}",
  "\\${{",
  "'",
  '"',
  "|",
  ">",
  "- ",
  ":",
  ": ",
  "\n",
  "\t",
  "    ",
  "&a ",
  "*a",
  "<<: *a",
  "{",
  "}",
  "[",
  "]",
  "#",
  "!",
  "\u0000",
  "\ud800",
  "tasks.",
  "?.",
  "=~ '(a*)*b'",
  "-1",
  "1e999",
  "null",
  "%",
  "---\n",
  "é",
  "\r\n",
];

describe("parseDefinition() with mutated definitions", () => {
  for (const seed of SEEDS) {
    test(`never throws, and places every finding inside the text (seed ${seed})`, async () => {
      const texts: string[] = [];
      for await (const file of new Glob("*.yml").scan(FIXTURES)) texts.push(await Bun.file(FIXTURES + file).text());
      texts.sort();
      const random = seeded(seed);
      for (let round = 0; round < ROUNDS; round++) {
        const text = mutate(texts[random(texts.length)] ?? "", random);
        const { definition, diagnostics } = parseDefinition(text, { file: "t.yml" });
        const lines = text.split("\n");
        const isError = diagnostics.some(({ severity }) => severity === "error");
        const outside = diagnostics.filter(({ at, endColumn }) => {
          const line = lines[at.line - 1];
          return (
            line === undefined ||
            at.column < 1 ||
            at.column > line.length + 1 ||
            endColumn <= at.column ||
            endColumn > line.length + 2
          );
        });
        expect({ seed, round, outside, agree: isError === (definition === null) }).toEqual({
          seed,
          round,
          outside: [],
          agree: true,
        });
        renderDiagnostics(diagnostics, { file: "t.yml", text, colour: false });
      }
    });
  }
});

/** The text with some pieces cut, doubled, moved or put in. */
function mutate(text: string, random: (below: number) => number): string {
  let changed = text.slice(0, 200 + random(3_000));
  for (let change = random(6); change >= 0; change--) {
    const at = random(changed.length + 1);
    const length = random(30);
    const piece = PIECES[random(PIECES.length)] ?? "";
    switch (random(4)) {
      case 0:
        changed = changed.slice(0, at) + changed.slice(at + length);
        break;
      case 1:
        changed = changed.slice(0, at) + piece + changed.slice(at);
        break;
      case 2:
        changed = changed.slice(0, at) + piece + changed.slice(at + length);
        break;
      default:
        changed = changed.slice(0, at) + changed.slice(at, at + length) + changed.slice(at);
    }
  }
  return changed;
}
