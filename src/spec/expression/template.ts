// Text with `${{ }}` in it: where the expressions are, and the text between them with its escapes undone.
// `\${{ x }}` is the text `${{ x }}`; an even number of backslashes before `${{` is half as many backslashes.

import type { Position, Template } from "../definition.ts";
import { ExpressionFault } from "./lex.ts";
import { parseExpression } from "./parse.ts";
import type { Expression } from "./syntax.ts";

export interface TemplateFault {
  readonly message: string;
  readonly advice: string;
  /** Offsets into the template's text. */
  readonly start: number;
  readonly end: number;
}

export interface ParsedTemplate {
  readonly template: Template;
  readonly faults: readonly TemplateFault[];
}

/** Reads a template; an expression with a fault is left out and reading goes on after it. */
export function parseTemplate(text: string, place: (offset: number) => Position): ParsedTemplate {
  if (!text.includes("${{")) return { template: text, faults: [] };
  const pieces: (string | Expression)[] = [];
  const faults: TemplateFault[] = [];
  let literal = "";
  let from = 0;
  for (let open = text.indexOf("${{"); open !== -1; open = text.indexOf("${{", from)) {
    const backslashes = backslashesBefore(text, open, from);
    literal += text.slice(from, open - backslashes) + "\\".repeat(backslashes >> 1);
    if (backslashes % 2 === 1) {
      const close = text.indexOf("}}", open);
      from = close === -1 ? text.length : close + 2;
      literal += text.slice(open, from);
      continue;
    }
    try {
      const { expression, end } = parseExpression(text, open + 3, place);
      if (literal !== "") pieces.push(literal);
      literal = "";
      pieces.push(expression);
      from = end;
    } catch (error) {
      if (!(error instanceof ExpressionFault)) throw error;
      faults.push({ message: error.message, advice: error.advice, start: error.start, end: error.end });
      const close = text.indexOf("}}", Math.max(open, error.start));
      from = close === -1 ? text.length : close + 2;
    }
  }
  literal += text.slice(from);
  if (pieces.length === 0) return { template: literal, faults };
  if (literal !== "") pieces.push(literal);
  return { template: { pieces, at: place(0) }, faults };
}

/** The expressions of a template, in order. */
export function expressionsOf(template: Template): readonly Expression[] {
  return typeof template === "string" ? [] : template.pieces.filter((piece) => typeof piece !== "string");
}

/** Joins templates by a text between them: a script given as a list of lines. */
export function joinTemplates(templates: readonly Template[], separator: string): Template {
  const [first] = templates;
  if (templates.length === 1 && first !== undefined) return first;
  const pieces: (string | Expression)[] = [];
  let literal = "";
  let at: Position | null = null;
  for (const [index, template] of templates.entries()) {
    if (index > 0) literal += separator;
    if (typeof template === "string") {
      literal += template;
      continue;
    }
    at ??= template.at;
    for (const piece of template.pieces) {
      if (typeof piece === "string") {
        literal += piece;
        continue;
      }
      if (literal !== "") pieces.push(literal);
      literal = "";
      pieces.push(piece);
    }
  }
  if (!at) return literal;
  if (literal !== "") pieces.push(literal);
  return { pieces, at };
}

function backslashesBefore(text: string, at: number, from: number): number {
  let count = 0;
  while (at - count > from && text[at - count - 1] === "\\") count++;
  return count;
}
