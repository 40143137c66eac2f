import { describe, expect, test } from "bun:test";
import { YAML } from "bun";
import { RUN_KEYS } from "../../src/spec/parse.ts";
import { TASK_KEYS } from "../../src/spec/task/task.ts";
import { task } from "./marked.ts";

type Schema = { readonly [key: string]: unknown };

const SCHEMA = (await Bun.file(new URL("../../schema/tasks.schema.json", import.meta.url)).json()) as Schema & {
  readonly $defs: Readonly<Record<string, { readonly properties: Readonly<Record<string, unknown>> }>>;
};

/** The words of JSON Schema (2020-12) that this schema uses; a word not listed here fails the test below. */
const WORDS: Readonly<Record<string, (value: unknown, word: never, schema: Schema) => boolean>> = {
  $ref: (value, word: string) => isValid(value, SCHEMA.$defs[word.slice("#/$defs/".length)] as unknown as Schema),
  anyOf: (value, word: readonly Schema[]) => word.some((one) => isValid(value, one)),
  type: (value, word: string | readonly string[]) =>
    [word].flat().some((type) => (type === "integer" ? Number.isInteger(value) : typeOf(value) === type)),
  enum: (value, word: readonly unknown[]) => word.includes(value),
  const: (value, word: unknown) => value === word,
  pattern: (value, word: string) => typeof value !== "string" || new RegExp(word).test(value),
  minimum: (value, word: number) => typeof value !== "number" || value >= word,
  maximum: (value, word: number) => typeof value !== "number" || value <= word,
  minItems: (value, word: number) => !Array.isArray(value) || value.length >= word,
  items: (value, word: Schema) => !Array.isArray(value) || value.every((item) => isValid(item, word)),
  required: (value, word: readonly string[]) => !isRecord(value) || word.every((key) => Object.hasOwn(value, key)),
  properties: (value, word: Readonly<Record<string, Schema>>) =>
    !isRecord(value) || Object.entries(value).every(([key, one]) => !word[key] || isValid(one, word[key])),
  patternProperties: (value, word: Readonly<Record<string, Schema>>) =>
    !isRecord(value) ||
    Object.entries(value).every(([key, one]) =>
      Object.entries(word).every(([name, schema]) => !new RegExp(name).test(key) || isValid(one, schema)),
    ),
  additionalProperties: (value, word: boolean | Schema, schema) =>
    !isRecord(value) ||
    Object.entries(value).every(
      ([key, one]) => isNamed(key, schema) || (typeof word === "object" ? isValid(one, word) : word),
    ),
};

const REMARKS = new Set(["$schema", "$id", "$defs", "title", "description", "deprecated"]);

function isValid(value: unknown, schema: Schema): boolean {
  return Object.entries(schema).every(([word, wanted]) => {
    if (REMARKS.has(word)) return true;
    const check = WORDS[word];
    if (!check) throw new Error(`The schema uses ${word}, which this test does not know`);
    return check(value, wanted as never, schema);
  });
}

function isNamed(key: string, { properties = {}, patternProperties = {} }: Schema): boolean {
  return (
    Object.hasOwn(properties as object, key) ||
    Object.keys(patternProperties as object).some((name) => new RegExp(name).test(key))
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeOf(value) === "object";
}

function typeOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}

describe("schema/tasks.schema.json", () => {
  test("knows the keys that the parser knows", () => {
    const keys = (name: string): readonly string[] =>
      Object.keys(SCHEMA.$defs[name]?.properties ?? {})
        .filter((key) => key !== "<<")
        .toSorted();
    expect(keys("run")).toEqual([...RUN_KEYS].toSorted());
    expect(keys("commandTask")).toEqual([...TASK_KEYS.command].toSorted());
    expect(keys("packageTask")).toEqual([...TASK_KEYS.package].toSorted());
    expect(keys("embeddedRunTask")).toEqual([...TASK_KEYS["embedded-run"]].toSorted());
    expect(keys("appTask")).toEqual([...TASK_KEYS.app].toSorted());
  });

  test("accepts the real definitions and every example of the reference", async () => {
    const reference = await Bun.file(new URL("../../docs/tasks-yml.md", import.meta.url)).text();
    const texts = [...reference.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1] ?? "");
    for (const name of ["cli-ci", "cli-release", "language-server-ci", "sandbox-background"]) {
      texts.push(await Bun.file(new URL(`../fixtures/rwx/${name}.yml`, import.meta.url)).text());
    }
    expect(texts.length).toBeGreaterThan(20);
    expect(texts.filter((text) => !isValid(YAML.parse(text), SCHEMA))).toEqual([]);
  });

  const REFUSED: readonly string[] = [
    task("runn: x"),
    task("run: x", "agent: {os: linx}"),
    task("run: x", "cache: perhaps"),
    task("call: a/b 1.0.0", "timeout: 5m"),
    task("run: x", "outputs: {artifacts: [{key: a}]}"),
    "tasks: []",
    "tasks:\n  - key: a b\n    run: x",
  ];
  for (const text of REFUSED) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      expect(isValid(YAML.parse(text), SCHEMA)).toBe(false);
    });
  }
});
