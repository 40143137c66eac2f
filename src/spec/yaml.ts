// YAML text to a tree with places: the only door to package `yaml`. Aliases become shared nodes and merge keys are
// applied, all bounded before anything is expanded. It knows nothing of tasks.

import {
  Composer,
  type CST,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node as YamlNode,
  type Pair,
  Parser,
  Scalar,
  type YAMLError,
  type YAMLMap,
} from "yaml";
import { LIMITS } from "../base/limits.ts";
import { formatBytes } from "../base/units.ts";
import type { Report } from "./report.ts";
import type { Source, Span } from "./source.ts";

export type Node = ScalarNode | MapNode | ListNode;

export interface ScalarNode extends Span {
  readonly kind: "scalar";
  readonly value: string | number | boolean | null;
  readonly style: "plain" | "single" | "double" | "block";
  /** How many nodes this one stands for once aliases are expanded. */
  readonly weight: number;
  readonly height: number;
}

export interface MapNode extends Span {
  readonly kind: "map";
  /** Own keys in their order, then those that came by merge keys. No key stands twice. */
  readonly entries: readonly Entry[];
  readonly weight: number;
  readonly height: number;
}

export interface ListNode extends Span {
  readonly kind: "list";
  readonly items: readonly Node[];
  readonly weight: number;
  readonly height: number;
}

export interface Entry {
  readonly key: string;
  readonly keySpan: Span;
  readonly value: Node;
}

/** Reads one YAML document. Null when it is empty or cannot be used; every fault is in the report. */
export function readYaml(source: Source, report: Report): Node | null {
  const { text } = source;
  const nothing = { start: 0, end: 0 };
  if (text.length > LIMITS.definitionBytes) {
    report.add({
      rule: "too-large",
      at: nothing,
      message: `The definition is larger than ${formatBytes(LIMITS.definitionBytes)}`,
    });
    return null;
  }
  const { tokens, tooDeepAt: deep } = readTokens(text);
  if (deep !== null) {
    report.add({ rule: "too-large", at: { start: deep, end: deep + 1 }, message: tooDeepMessage() });
    return null;
  }
  const options = { uniqueKeys: false, stringKeys: true, prettyErrors: false, logLevel: "silent" } as const;
  const documents = [...new Composer(options).compose(tokens, true, text.length)];
  const [document, second] = documents;
  if (second) {
    const start = Math.max(0, text.lastIndexOf("---", second.range?.[0] ?? 0));
    const advice = "Put it into a file of its own.";
    report.add({
      rule: "yaml-documents",
      at: { start, end: start + 3 },
      message: "A second YAML document starts here",
      advice,
    });
  }
  if (!document) return null;
  for (const error of document.errors) addYamlError(error, report);
  for (const warning of document.warnings) addYamlError(warning, report);
  if (document.errors.length > 0) return null;
  if (!document.contents) return null;
  const converter = new Converter(source, report);
  return converter.convert(document.contents);
}

/** The items of a list with lists inside it spliced in; at most `definitionNodes` of them, as the tree is bounded. */
export function* spliced(list: ListNode): Generator<Exclude<Node, ListNode>> {
  for (const item of list.items) {
    if (item.kind === "list") yield* spliced(item);
    else yield item;
  }
}

class Converter {
  readonly #source: Source;
  readonly #report: Report;
  readonly #anchors = new Map<string, Node>();
  readonly #open = new Set<string>();
  #entries = 0;
  #refused = false;

  constructor(source: Source, report: Report) {
    this.#source = source;
    this.#report = report;
  }

  convert(root: YamlNode): Node | null {
    const node = this.#node(root);
    return this.#refused ? null : node;
  }

  #node(node: YamlNode | null | undefined): Node {
    if (isAlias(node)) return this.#alias(node.source, spanOf(node));
    if (!node) return nullAt(0);
    const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
    if (anchor) this.#open.add(anchor);
    const made = this.#withoutAnchor(node);
    if (anchor) {
      this.#open.delete(anchor);
      this.#anchors.set(anchor, made);
    }
    if (made.weight > LIMITS.definitionNodes) {
      const message = `The definition has more than ${LIMITS.definitionNodes.toLocaleString("en")} nodes once its aliases are expanded`;
      this.#refuse(made, message);
    } else if (made.height > LIMITS.definitionDepth) {
      this.#refuse(made, tooDeepMessage());
    }
    return this.#refused ? nullAt(made.start) : made;
  }

  #withoutAnchor(node: YamlNode): Node {
    if (isMap(node)) return this.#map(node);
    if (isSeq(node)) {
      const items = node.items.map((item) => this.#node(item as YamlNode));
      return { kind: "list", items, ...spanOf(node), ...measure(items) };
    }
    if (isScalar(node)) return scalar(node, this.#source);
    return nullAt(0);
  }

  #map(map: YAMLMap): Node {
    const entries: Entry[] = [];
    const own = new Set<string>();
    const merges: { readonly value: Node; readonly at: Span }[] = [];
    const values: Node[] = [];
    for (const pair of map.items as Pair<YamlNode, YamlNode | null>[]) {
      const keySpan = spanOf(pair.key);
      const key = this.#key(pair.key, keySpan);
      const value = pair.value ? this.#node(pair.value) : nullAt(keySpan.end);
      values.push(value);
      if (key === "<<" && isPlain(pair.key)) {
        merges.push({ value, at: keySpan });
        continue;
      }
      if (own.has(key)) {
        this.#report.add({
          rule: "duplicate-key",
          at: keySpan,
          message: `The key ${JSON.stringify(key)} stands twice in this map`,
        });
        continue;
      }
      own.add(key);
      entries.push({ key, keySpan, value });
    }
    for (const merged of this.#merged(merges)) if (!own.has(merged.key)) entries.push(merged);
    this.#entries += entries.length;
    if (this.#entries > LIMITS.definitionNodes) {
      this.#refuse(
        spanOf(map),
        `The definition has more than ${LIMITS.definitionNodes.toLocaleString("en")} keys once merges are applied`,
      );
    }
    return { kind: "map", entries, ...spanOf(map), ...measure(values) };
  }

  /** Entries of all merge keys of a map; of two that bring the same key the later one wins, as with `use`. */
  #merged(merges: readonly { readonly value: Node; readonly at: Span }[]): Iterable<Entry> {
    const byKey = new Map<string, Entry>();
    for (const { value, at } of this.#refused ? [] : merges) {
      for (const from of value.kind === "list" ? spliced(value) : [value]) {
        if (from.kind !== "map") {
          this.#report.add({
            rule: "yaml-merge",
            at,
            message: "A merge key (<<) takes a map or a list of maps",
            advice: "Merge an anchor: `<<: *name`.",
          });
          continue;
        }
        this.#entries += from.entries.length;
        if (this.#entries > LIMITS.definitionNodes) return [];
        for (const entry of from.entries) byKey.set(entry.key, entry);
      }
    }
    return byKey.values();
  }

  #key(node: YamlNode, span: Span): string {
    const resolved = isAlias(node) ? this.#alias(node.source, span) : null;
    const value = resolved
      ? resolved.kind === "scalar"
        ? resolved.value
        : undefined
      : isScalar(node)
        ? node.value
        : undefined;
    if (typeof value === "string") return value;
    this.#report.add({ rule: "yaml-key", at: span, message: "A key must be text", advice: "Put it in quotes." });
    return "";
  }

  #alias(name: string, span: Span): Node {
    const target = this.#anchors.get(name);
    if (this.#open.has(name)) {
      this.#report.add({ rule: "yaml-alias", at: span, message: `The alias *${name} stands inside what it names` });
    } else if (!target) {
      const message = `The alias *${name} names no anchor above it`;
      this.#report.add({
        rule: "yaml-alias",
        at: span,
        message,
        advice: `Set it first: \`&${name}\`. If this is text, put it in quotes.`,
      });
    } else {
      return target;
    }
    this.#report.mute(span.start);
    return nullAt(span.start);
  }

  #refuse(at: Span, message: string): void {
    if (this.#refused) return;
    this.#refused = true;
    this.#report.add({ rule: "too-large", at: { start: at.start, end: at.start + 1 }, message });
  }
}

function scalar(node: Scalar, source: Source): ScalarNode {
  const span = spanOf(node);
  const { value } = node;
  const known = typeof value === "string" || typeof value === "number" || typeof value === "boolean" || value === null;
  const text = known ? value : source.text.slice(span.start, span.end);
  return { kind: "scalar", value: text, style: styleOf(node), ...span, weight: 1, height: 1 };
}

function styleOf(node: Scalar): ScalarNode["style"] {
  switch (node.type) {
    case Scalar.BLOCK_FOLDED:
    case Scalar.BLOCK_LITERAL:
      return "block";
    case Scalar.QUOTE_DOUBLE:
      return "double";
    case Scalar.QUOTE_SINGLE:
      return "single";
    default:
      return "plain";
  }
}

function isPlain(node: YamlNode): boolean {
  return isScalar(node) && node.type === Scalar.PLAIN;
}

function measure(children: readonly Node[]): { readonly weight: number; readonly height: number } {
  let weight = 1;
  let height = 0;
  for (const child of children) {
    weight += child.weight;
    if (child.height > height) height = child.height;
  }
  return { weight, height: height + 1 };
}

function nullAt(start: number): ScalarNode {
  return { kind: "scalar", value: null, style: "plain", start, end: start, weight: 1, height: 1 };
}

function spanOf(node: YamlNode): Span {
  const range = node.range;
  return range ? { start: range[0], end: range[1] } : { start: 0, end: 0 };
}

function tooDeepMessage(): string {
  return `Lists and maps are nested more than ${LIMITS.definitionDepth} deep`;
}

/**
 * The concrete tokens of a text, and where it nests too deeply. Brackets are counted as they come: a megabyte of them would
 * keep the parser busy for seconds.
 */
function readTokens(text: string): { readonly tokens: readonly CST.Token[]; readonly tooDeepAt: number | null } {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  let offset = 0;
  let open = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (lexeme === "[" || lexeme === "{") open++;
    else if (lexeme === "]" || lexeme === "}") open--;
    if (open >= LIMITS.definitionDepth) return { tokens, tooDeepAt: offset };
    if (!MARKS.has(lexeme)) offset += lexeme.length;
    for (const token of parser.next(lexeme)) tokens.push(token);
  }
  for (const token of parser.end()) tokens.push(token);
  return { tokens, tooDeepAt: tokenTooDeep(tokens) };
}

/** Lexemes that stand for no text: byte order mark aside, the starts of documents, flows that end early and scalars. */
const MARKS: ReadonlySet<string> = new Set(["\u0002", "\u0018", "\u001f"]);

/** Offset of the first collection nested too deeply, found without recursion; the composer would recurse into it. */
function tokenTooDeep(tokens: readonly CST.Token[]): number | null {
  const open: { readonly token: CST.Token; readonly depth: number }[] = tokens.map((token) => ({ token, depth: 0 }));
  for (let next = open.pop(); next; next = open.pop()) {
    const { token, depth } = next;
    if (depth >= LIMITS.definitionDepth) return token.offset;
    if (token.type === "document") {
      if (token.value) open.push({ token: token.value, depth });
    } else if ("items" in token) {
      for (const item of token.items) {
        if (item.key) open.push({ token: item.key, depth: depth + 1 });
        if (item.value) open.push({ token: item.value, depth: depth + 1 });
      }
    }
  }
  return null;
}

function addYamlError(error: YAMLError, report: Report): void {
  const at = { start: error.pos[0], end: Math.max(error.pos[1], error.pos[0] + 1) };
  const [first = ""] = error.message.split("\n");
  switch (error.code) {
    case "TAB_AS_INDENT":
      return report.add({
        rule: "yaml-tab",
        at,
        message: "A tab is used for indentation",
        advice: "Indent with spaces.",
      });
    case "MULTIPLE_DOCS":
      return report.add({
        rule: "yaml-documents",
        at,
        message: "A second YAML document starts here",
        advice: "Put it into a file of its own.",
      });
    case "NON_STRING_KEY":
      return report.add({ rule: "yaml-key", at, message: "A key must be text", advice: "Put it in quotes." });
    case "TAG_RESOLVE_FAILED":
      report.add({
        rule: "yaml-tag",
        at,
        message: "A value that starts with ! is a YAML tag",
        advice: "Put the value in quotes.",
      });
      return report.mute(at.end);
    case "BAD_ALIAS":
      return report.add({
        rule: "yaml-alias",
        at,
        message: "A value that starts with * is a YAML alias, and this is not a valid one",
        advice: "If it is text, put it in quotes.",
      });
    default:
      return report.add({
        rule: "yaml-syntax",
        at,
        message: `Cannot read this as YAML: ${first}`,
        advice: ADVICE[error.code] ?? "",
      });
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  BAD_INDENT: "Check that the line stands as far right as the ones it belongs to.",
  BAD_SCALAR_START: "If this is text, put it in quotes.",
  BLOCK_AS_IMPLICIT_KEY: "Check the indentation; text with a colon needs quotes.",
  MISSING_CHAR: "Check the quotes, brackets and colons on this line and the one above.",
  MULTILINE_IMPLICIT_KEY: "Check the indentation; text with a colon needs quotes.",
  UNEXPECTED_TOKEN: "Check the indentation and the quotes.",
};
