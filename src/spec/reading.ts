// What every part of the reader shares: one definition's source, report and the expressions met so far, and the readers of
// the small things (text, number, one of a set, template, map with known keys). Each reports what is wrong and goes on.

import { nearest, printable, sentenceList } from "../base/text.ts";
import type { Position, Template } from "./definition.ts";
import type { RuleName } from "./diagnostic.ts";
import { placesOf } from "./scalar-places.ts";
import type { Expression } from "./expression/syntax.ts";
import { parseTemplate } from "./expression/template.ts";
import { Report } from "./report.ts";
import { positionAt, type Source, type Span } from "./source.ts";
import { type Entry, type ListNode, type MapNode, type Node, type ScalarNode, spliced } from "./yaml.ts";

/** Which names an expression may start with, by where it stands. */
export type Place = "task" | "after" | "retry" | "trigger" | "base" | "pool" | "package-output";

/** An expression that was read, kept until all tasks are known and its names can be checked. */
export interface Met {
  readonly expression: Expression;
  readonly place: Place;
  /** Index of the task it stands in; null outside of tasks. */
  readonly task: number | null;
}

export interface Reading {
  readonly source: Source;
  readonly report: Report;
  readonly met: Met[];
  /** Where other files are included (`- include: _name.yml`): what they hold is not known here. */
  readonly includes: Span[];
  /** Keys of tasks that could not be read: naming them is no further fault. */
  readonly broken: Set<string>;
  /** Where expressions that are read next stand. */
  place: Place;
  task: number | null;
}

export function startReading(source: Source): Reading {
  return { source, report: new Report(source), met: [], includes: [], broken: new Set(), place: "task", task: null };
}

// oxlint-disable-next-line eslint/max-params -- one sentence, said in two hundred places: who, which rule, where, what, how to mend
export function fault(reading: Reading, rule: RuleName, at: Span, message: string, advice = ""): void {
  reading.report.add({ rule, at, message, advice });
}

export function placeOf(reading: Reading, span: Span): Position {
  return positionAt(reading.source, span.start);
}

/** Reads with another place for expressions, and sets it back. */
export function within<T>(reading: Reading, place: Place, read: () => T): T {
  const before = reading.place;
  reading.place = place;
  const result = read();
  reading.place = before;
  return result;
}

/** The entries of a map by key; unknown keys are faults. Null (an empty value) is an empty map. */
export function readFields(
  reading: Reading,
  node: Node,
  allowed: readonly string[],
  what: string,
): ReadonlyMap<string, Entry> {
  const fields = new Map<string, Entry>();
  for (const entry of entriesOf(reading, node, what)) {
    if (allowed.includes(entry.key)) fields.set(entry.key, entry);
    else unknownKey(reading, entry, allowed, what);
  }
  return fields;
}

/** The entries of a map whose keys are free; none, and a fault, when it is no map. */
export function entriesOf(reading: Reading, node: Node, what: string): readonly Entry[] {
  if (node.kind === "map") return node.entries;
  if (!isNull(node))
    fault(
      reading,
      "wrong-type",
      node,
      `Expected ${what} to be a map, found ${describe(node)}`,
      "Write `key: value` lines.",
    );
  return [];
}

function unknownKey(reading: Reading, entry: Entry, allowed: readonly string[], what: string): void {
  const meant = reading.report.isFull ? null : nearest(entry.key, allowed);
  const all = `Allowed here: ${allowed.toSorted().join(", ")}.`;
  const advice = meant === null ? all : `Did you mean ${JSON.stringify(meant)}? ${all}`;
  fault(
    reading,
    "unknown-key",
    entry.keySpan,
    `Unknown key ${JSON.stringify(printable(entry.key))} in ${what}`,
    advice,
  );
}

/** Says that a key has no value, which reads as if the key were absent. True when it is so. */
export function isEmptyEntry(reading: Reading, entry: Entry): boolean {
  if (!isNull(entry.value)) return false;
  fault(
    reading,
    "empty-value",
    entry.keySpan,
    `${JSON.stringify(entry.key)} has no value`,
    "Give it one, or leave the key out.",
  );
  return true;
}

export function isNull(node: Node): node is ScalarNode & { readonly value: null } {
  return node.kind === "scalar" && node.value === null;
}

type Item = Exclude<Node, ListNode>;

/** Items of a list with inner lists spliced in; a single item counts as a list of one. */
export function itemsOrOne(reading: Reading, node: Node): readonly Item[] {
  return node.kind === "list" ? withoutIncludes(reading, node) : [node];
}

/** Items of a list with inner lists spliced in; none, and a fault, when it is no list. Null is an empty list. */
export function itemsOf(reading: Reading, node: Node, what: string): readonly Item[] {
  if (node.kind === "list") return withoutIncludes(reading, node);
  if (!isNull(node))
    fault(
      reading,
      "wrong-type",
      node,
      `Expected ${what} to be a list, found ${describe(node)}`,
      "Write `- item` lines.",
    );
  return [];
}

function withoutIncludes(reading: Reading, list: ListNode): readonly Item[] {
  const items: Item[] = [];
  for (const item of spliced(list)) {
    const include = item.kind === "map" ? item.entries.find((entry) => entry.key === "include") : undefined;
    if (include) readInclude(reading, include);
    else items.push(item);
  }
  return items;
}

function readInclude(reading: Reading, { keySpan, value }: Entry): void {
  reading.includes.push(keySpan);
  const name = readText(reading, value, "`include`");
  if (name === null || name.startsWith("_")) return;
  fault(
    reading,
    "invalid-value",
    value,
    `The name of an included file starts with _, found ${JSON.stringify(printable(name))}`,
  );
}

/** Text of a scalar; numbers and booleans count as their text. Null, and a fault, for all else. */
export function readText(reading: Reading, node: Node, what: string): string | null {
  if (node.kind !== "scalar" || node.value === null) {
    fault(reading, "wrong-type", node, `Expected ${what} to be text, found ${describe(node)}`);
    return null;
  }
  if (typeof node.value === "number") checkDigits(reading, node);
  return String(node.value);
}

/** Text in which expressions are not evaluated: a fault when it holds one. */
export function readPlainText(reading: Reading, node: Node, what: string): string | null {
  const text = readText(reading, node, what);
  if (text === null || !text.includes("${{")) return text;
  fault(reading, "expression-not-allowed", node, `Expressions are not evaluated in ${what}`);
  return null;
}

/** `1.20` is the number 1.2: the version that was meant is lost. */
function checkDigits(reading: Reading, node: ScalarNode): void {
  const written = reading.source.text.slice(node.start, node.end);
  const text = String(node.value);
  if (written === text || !/^[-+.\w]+$/.test(written)) return;
  fault(
    reading,
    "lossy-number",
    node,
    `YAML reads ${written} as the number ${text}`,
    `Put it in quotes to keep it: "${written}".`,
  );
}

export function readBoolean(reading: Reading, node: Node, what: string): boolean | null {
  if (node.kind === "scalar" && typeof node.value === "boolean") return node.value;
  if (node.kind === "scalar" && (node.value === "true" || node.value === "false")) return node.value === "true";
  fault(reading, "wrong-type", node, `Expected ${what} to be true or false, found ${describe(node)}`);
  return null;
}

export function readInteger(
  reading: Reading,
  node: Node,
  what: string,
  bounds: { readonly least: number; readonly most?: number },
): number | null {
  const value =
    node.kind === "scalar"
      ? typeof node.value === "string" && /^-?\d+$/.test(node.value)
        ? Number(node.value)
        : node.value
      : null;
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    fault(reading, "wrong-type", node, `Expected ${what} to be a whole number, found ${describe(node)}`);
    return null;
  }
  if (value < bounds.least || (bounds.most !== undefined && value > bounds.most)) {
    const range = bounds.most === undefined ? `at least ${bounds.least}` : `from ${bounds.least} to ${bounds.most}`;
    fault(reading, "invalid-value", node, `Expected ${what} to be ${range}, found ${value}`);
    return null;
  }
  return value;
}

export function readOneOf<T extends string>(
  reading: Reading,
  node: Node,
  what: string,
  allowed: readonly T[],
): T | null {
  const text = readText(reading, node, what);
  if (text === null) return null;
  const found = allowed.find((value) => value === text);
  if (found !== undefined) return found;
  const meant = nearest(text, allowed);
  const advice = meant === null ? "" : `Did you mean ${JSON.stringify(meant)}?`;
  const list = sentenceList(
    allowed.map((value) => JSON.stringify(value)),
    "or",
  );
  fault(
    reading,
    "invalid-value",
    node,
    `Expected ${what} to be ${list}, found ${JSON.stringify(printable(text.slice(0, 80)))}`,
    advice,
  );
  return null;
}

/** Text that may hold expressions; each is kept to be checked. Null when one of them cannot be read. */
export function readTemplate(reading: Reading, node: Node, what: string): Template | null {
  const text = readText(reading, node, what);
  if (text === null || node.kind !== "scalar") return null;
  const errors = reading.report.errors;
  const template = templateOf(reading, node, text);
  return reading.report.errors > errors ? null : template;
}

/** The template in a scalar's text, or in the text of a map's key. */
export function templateOf(
  reading: Reading,
  at: Span & { readonly style?: ScalarNode["style"] },
  text: string,
): Template {
  if (!text.includes("${{")) return text;
  const offsetOf = placesOf(reading.source.text, { ...at, style: at.style ?? "plain" }, text);
  const place = (offset: number): Position => positionAt(reading.source, offsetOf(offset));
  const { template, faults } = parseTemplate(text, place);
  for (const found of faults) {
    const span = { start: offsetOf(found.start), end: offsetOf(found.end) };
    fault(reading, "expression-syntax", span, found.message, found.advice);
  }
  if (typeof template === "string") return template;
  for (const piece of template.pieces) {
    if (typeof piece !== "string") reading.met.push({ expression: piece, place: reading.place, task: reading.task });
  }
  return template;
}

/** Exactly one expression, as `if` wants it; true and false are taken as they are. */
export function readExpression(reading: Reading, node: Node, what: string): Expression | null {
  if (node.kind === "scalar" && typeof node.value === "boolean") {
    return { at: placeOf(reading, node), kind: "literal", value: node.value };
  }
  const template = readTemplate(reading, node, what);
  if (template === null) return null;
  const expression = soleExpression(template);
  if (expression) return expression;
  const advice =
    typeof template === "string"
      ? `Put it into braces: \`\${{ ${template.trim().slice(0, 60)} }}\`.`
      : "Put all of it into one pair of braces: `${{ a && b }}`.";
  fault(reading, "expression-syntax", node, `Expected ${what} to be one expression`, advice);
  return null;
}

/** The expression that is all of a template but white space around it; null when there is more, or none. */
export function soleExpression(template: Template): Expression | null {
  if (typeof template === "string") return null;
  const pieces = template.pieces.filter((piece) => typeof piece !== "string" || piece.trim() !== "");
  const [only] = pieces;
  return pieces.length === 1 && typeof only === "object" ? only : null;
}

/** True when the scalar's text is one that starts with an expression. */
export function startsWithExpression(node: Node): boolean {
  return node.kind === "scalar" && typeof node.value === "string" && node.value.trimStart().startsWith("${{");
}

/** "a list", "the number 3", ...: what a node is, for messages. */
export function describe(node: Node): string {
  if (node.kind === "list") return "a list";
  if (node.kind === "map") return "a map";
  switch (typeof node.value) {
    case "string":
      return node.value === "" ? "empty text" : `the text ${JSON.stringify(printable(node.value.slice(0, 40)))}`;
    case "number":
      return `the number ${node.value}`;
    case "boolean":
      return `${node.value}`;
    default:
      return "nothing";
  }
}

/** A map of templates under free names: `init`, `with`, ... */
export function readTemplates(reading: Reading, node: Node, what: string): Readonly<Record<string, Template>> {
  const templates: Record<string, Template> = {};
  for (const { key, value } of entriesOf(reading, node, what)) {
    const template = isNull(value) ? "" : readTemplate(reading, value, `${JSON.stringify(key)} in ${what}`);
    if (template !== null) define(templates, key, template);
  }
  return templates;
}

/** Sets a key as the record's own, whatever its name (`__proto__` as well). */
export function define<T>(record: Record<string, T>, key: string, value: T): void {
  Object.defineProperty(record, key, { value, enumerable: true, configurable: true, writable: true });
}

export function missing(reading: Reading, node: Node, key: string, what: string): void {
  const at = node.kind === "map" ? headOf(node) : node;
  fault(reading, "missing-key", at, `${what} must have the key ${JSON.stringify(key)}`);
}

/** The first key of a map: where the caret goes when the map as a whole is meant. */
export function headOf(node: MapNode): Span {
  return node.entries[0]?.keySpan ?? node;
}
