// Characters to tokens of a `${{ }}` expression. It stops at the `}}` that closes it and knows no grammar.

import { LIMITS } from "../../base/limits.ts";

export type Token =
  | { readonly kind: "name"; readonly text: string; readonly start: number; readonly end: number }
  | { readonly kind: "text"; readonly text: string; readonly start: number; readonly end: number }
  | {
      readonly kind: "number";
      readonly value: number;
      readonly text: string;
      readonly start: number;
      readonly end: number;
    }
  | { readonly kind: "symbol"; readonly text: string; readonly start: number; readonly end: number }
  | { readonly kind: "end"; readonly text: ""; readonly start: number; readonly end: number };

/** Why an expression cannot be read, with offsets into the template. Caught where the template is read. */
export class ExpressionFault extends Error {
  readonly start: number;
  readonly end: number;
  readonly advice: string;

  constructor(message: string, span: { readonly start: number; readonly end: number }, advice = "") {
    super(message);
    this.start = span.start;
    this.end = span.end;
    this.advice = advice;
  }
}

const NAME = /[A-Za-z_-][\w-]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /\s+/y;
const SYMBOL = /\|\||&&|==|!=|=~|!~|<=|>=|\?\.|\?\[|[<>!()[\].,?:]/y;

/** Tokens from `start` to the closing `}}`, an "end" token last that spans it. Throws `ExpressionFault`. */
export function lex(template: string, start: number): readonly Token[] {
  const tokens: Token[] = [];
  const open = start - 3;
  let at = start;
  for (;;) {
    at = skip(SPACE, template, at);
    if (at - start > LIMITS.expressionChars) {
      throw new ExpressionFault(`The expression is longer than ${LIMITS.expressionChars} characters`, {
        start: open,
        end: start,
      });
    }
    if (at >= template.length) throw unclosed(open, start);
    if (template.startsWith("}}", at)) {
      tokens.push({ kind: "end", text: "", start: at, end: at + 2 });
      return tokens;
    }
    const token = tokenAt(template, at);
    tokens.push(token);
    at = token.end;
  }
}

function tokenAt(template: string, start: number): Token {
  const first = template.charAt(start);
  if (first === "'" || first === '"') return textAt(template, start, first);
  const numberEnd = skip(NUMBER, template, start);
  if (numberEnd > start) {
    const text = template.slice(start, numberEnd);
    return { kind: "number", value: Number(text), text, start, end: numberEnd };
  }
  const nameEnd = skip(NAME, template, start);
  if (nameEnd > start) return { kind: "name", text: template.slice(start, nameEnd), start, end: nameEnd };
  const symbolEnd = skip(SYMBOL, template, start);
  if (symbolEnd > start) return { kind: "symbol", text: template.slice(start, symbolEnd), start, end: symbolEnd };
  throw new ExpressionFault(
    `${JSON.stringify(first)} means nothing in an expression`,
    { start, end: start + 1 },
    adviceFor(first),
  );
}

function textAt(template: string, start: number, quote: string): Token {
  const close = template.indexOf(quote, start + 1);
  if (close === -1)
    throw new ExpressionFault(`The text that starts with ${quote} is never closed`, { start, end: start + 1 });
  return { kind: "text", text: template.slice(start + 1, close), start, end: close + 1 };
}

function skip(pattern: RegExp, template: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(template) ? pattern.lastIndex : at;
}

function unclosed(start: number, end: number): ExpressionFault {
  return new ExpressionFault(
    "The expression is never closed",
    { start, end },
    "Close it with `}}`, or write `\\${{` for the characters themselves.",
  );
}

function adviceFor(character: string): string {
  switch (character) {
    case "=":
      return "Equality is `==`.";
    case "&":
      return "Both is `&&`.";
    case "|":
      return "Either is `||`.";
    case "+":
    case "*":
    case "/":
    case "%":
      return "There is no arithmetic; compute it in the script.";
    case "$":
    case "{":
    case "}":
      return "Expressions are not nested, and they are closed by `}}`.";
    default:
      return "";
  }
}
