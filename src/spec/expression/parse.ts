// Tokens to the syntax tree of one expression. From loosest to tightest: `? :`, `||`, `&&`, comparison (not chained),
// `!`, access and calls. `a.f(b)` is another way to write `f(a, b)`.

import { LIMITS } from "../../base/limits.ts";
import type { Position } from "../definition.ts";
import { ExpressionFault, lex, type Token } from "./lex.ts";
import type { BinaryOperator, Expression } from "./syntax.ts";

/** Most operators, accesses and literals in one expression: bounds the recursion of whoever walks it. */
const MOST_NODES = 2_000;

const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "=~", "!~", "<", ">", "<=", ">="]);

/** Reads the expression whose first character is at `start`, up to and with its `}}`. Throws `ExpressionFault`. */
export function parseExpression(
  template: string,
  start: number,
  place: (offset: number) => Position,
): { readonly expression: Expression; readonly end: number } {
  const parser = new Parser(lex(template, start), place);
  return parser.parse();
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #place: (offset: number) => Position;
  #at = 0;
  #depth = 0;
  #nodes = 0;

  constructor(tokens: readonly Token[], place: (offset: number) => Position) {
    this.#tokens = tokens;
    this.#place = place;
  }

  parse(): { readonly expression: Expression; readonly end: number } {
    const [first] = this.#tokens;
    if (first?.kind === "end") throw new ExpressionFault("The expression is empty", first);
    const expression = this.#expression();
    const end = this.#token;
    if (end.kind !== "end") throw this.#unexpected("Expected an operator or `}}`");
    return { expression, end: end.end };
  }

  get #token(): Token {
    const token = this.#tokens[this.#at];
    if (!token) throw new Error("Bug: the parser ran past the end token");
    return token;
  }

  #expression(): Expression {
    this.#depth++;
    if (this.#depth > LIMITS.expressionDepth) {
      throw new ExpressionFault(`The expression is nested more than ${LIMITS.expressionDepth} deep`, this.#token);
    }
    const test = this.#either();
    let expression = test;
    if (this.#take("?")) {
      const then = this.#expression();
      this.#expect(":");
      const otherwise = this.#expression();
      expression = this.#made({ at: test.at, kind: "conditional", test, then, otherwise });
    }
    this.#depth--;
    return expression;
  }

  #either(): Expression {
    let left = this.#both();
    while (this.#take("||")) left = this.#binary("||", left, this.#both());
    return left;
  }

  #both(): Expression {
    let left = this.#comparison();
    while (this.#take("&&")) left = this.#binary("&&", left, this.#comparison());
    return left;
  }

  #comparison(): Expression {
    const left = this.#unary();
    const token = this.#token;
    if (token.kind !== "symbol" || !COMPARISONS.has(token.text)) return left;
    this.#at++;
    const compared = this.#binary(token.text as BinaryOperator, left, this.#unary());
    const next = this.#token;
    if (next.kind === "symbol" && COMPARISONS.has(next.text)) {
      throw new ExpressionFault(
        "Comparisons cannot be chained",
        next,
        "Join two of them with `&&`, or use parentheses.",
      );
    }
    return compared;
  }

  #unary(): Expression {
    const start = this.#token.start;
    let negations = 0;
    while (this.#take("!")) negations++;
    let expression = this.#access();
    for (; negations > 0; negations--) expression = this.#made({ at: this.#place(start), kind: "not", of: expression });
    return expression;
  }

  #access(): Expression {
    let of = this.#primary();
    for (;;) {
      const token = this.#token;
      if (token.kind !== "symbol") return of;
      const optional = token.text.startsWith("?");
      if (token.text === "." || token.text === "?.") {
        this.#at++;
        of = this.#member(of, optional);
      } else if (token.text === "[" || token.text === "?[") {
        this.#at++;
        const index = this.#expression();
        this.#expect("]");
        of = this.#made({ at: of.at, kind: "index", of, index, optional });
      } else {
        return of;
      }
    }
  }

  #member(of: Expression, optional: boolean): Expression {
    const token = this.#token;
    if (token.kind !== "name")
      throw this.#unexpected(
        "Expected a name after the dot",
        'Names that start with a digit or hold other signs are written `["name"]`.',
      );
    this.#at++;
    if (this.#take("("))
      return this.#made({ at: of.at, kind: "call", name: token.text, arguments: [of, ...this.#arguments()] });
    return this.#made({ at: of.at, kind: "member", of, name: token.text, optional });
  }

  #primary(): Expression {
    const token = this.#token;
    const at = this.#place(token.start);
    switch (token.kind) {
      case "number":
        this.#at++;
        return this.#made({ at, kind: "literal", value: token.value });
      case "text":
        this.#at++;
        return this.#made({ at, kind: "literal", value: token.text });
      case "name":
        this.#at++;
        if (this.#take("(")) return this.#made({ at, kind: "call", name: token.text, arguments: this.#arguments() });
        if (token.text === "true" || token.text === "false")
          return this.#made({ at, kind: "literal", value: token.text === "true" });
        if (token.text === "null") return this.#made({ at, kind: "literal", value: null });
        return this.#made({ at, kind: "name", name: token.text });
      case "symbol":
        if (this.#take("(")) {
          const inner = this.#expression();
          this.#expect(")");
          return inner;
        }
        throw this.#unexpected("Expected a value");
      case "end":
        throw this.#unexpected("Expected a value");
    }
  }

  #arguments(): Expression[] {
    const given: Expression[] = [];
    if (this.#take(")")) return given;
    do given.push(this.#expression());
    while (this.#take(","));
    this.#expect(")");
    return given;
  }

  #binary(operator: BinaryOperator, left: Expression, right: Expression): Expression {
    return this.#made({ at: left.at, kind: "binary", operator, left, right });
  }

  #made(expression: Expression): Expression {
    this.#nodes++;
    if (this.#nodes > MOST_NODES)
      throw new ExpressionFault(`The expression has more than ${MOST_NODES} parts`, this.#token);
    return expression;
  }

  #take(symbol: string): boolean {
    const token = this.#token;
    if (token.kind !== "symbol" || token.text !== symbol) return false;
    this.#at++;
    return true;
  }

  #expect(symbol: string): void {
    if (!this.#take(symbol)) throw this.#unexpected(`Expected ${JSON.stringify(symbol)}`);
  }

  #unexpected(expected: string, advice = ""): ExpressionFault {
    const token = this.#token;
    const found = token.kind === "end" ? "the end of the expression" : JSON.stringify(token.text);
    return new ExpressionFault(`${expected}, found ${found}`, token, advice);
  }
}
