// The value of an expression and the text of a template in a scope. Pure: what is not in the scope does not exist.

import { unreachable } from "../../base/assert.ts";
import { MeshError } from "../../base/errors.ts";
import { nearest } from "../../base/text.ts";
import type { Template } from "../definition.ts";
import { FUNCTIONS } from "./functions.ts";
import { compilePattern, matchesPattern, MOST_SUBJECT, PatternFault } from "./pattern.ts";
import type { BinaryOperator, Expression } from "./syntax.ts";
import { areEqual, isTrue, kindOf, order, type Scope, textOf, type Value } from "./value.ts";

/**
 * Value of an expression. `||` and `&&` give one of their sides, as in JavaScript, and look at the right one only when
 * needed. A name that is not there is a fault; after `?.` or `?[` it is null. `file` is named in the fault's place.
 * Throws `expression.invalid`.
 */
export function evaluate(expression: Expression, scope: Scope, file = ""): Value {
  switch (expression.kind) {
    case "literal":
      return expression.value;
    case "name":
      if (Object.hasOwn(scope, expression.name)) return scope[expression.name] ?? null;
      throw fault(
        expression,
        file,
        `\`${expression.name}\` is not known here`,
        didYouMean(expression.name, Object.keys(scope)),
      );
    case "member":
      return memberOf(expression, expression.name, scope, file);
    case "index":
      return memberOf(expression, evaluate(expression.index, scope, file), scope, file);
    case "call":
      return call(expression, scope, file);
    case "not":
      return !isTrue(evaluate(expression.of, scope, file));
    case "binary":
      return binary(expression, scope, file);
    case "conditional":
      return evaluate(
        isTrue(evaluate(expression.test, scope, file)) ? expression.then : expression.otherwise,
        scope,
        file,
      );
    default:
      return unreachable(expression);
  }
}

/** Text of a template: null is empty, lists and maps are JSON. Throws `expression.invalid`. */
export function interpolate(template: Template, scope: Scope, file = ""): string {
  if (typeof template === "string") return template;
  let text = "";
  for (const piece of template.pieces) text += typeof piece === "string" ? piece : textOf(evaluate(piece, scope, file));
  return text;
}

function memberOf(
  expression: Expression & { kind: "member" | "index" },
  key: Value,
  scope: Scope,
  file: string,
): Value {
  const of = evaluate(expression.of, scope, file);
  const { optional } = expression;
  if (of === null && optional) return null;
  if (Array.isArray(of)) {
    const index = typeof key === "number" ? key : Number(textOf(key));
    const item = Number.isInteger(index) ? (of as readonly Value[])[index] : undefined;
    if (item !== undefined || optional) return item ?? null;
    throw fault(
      expression,
      file,
      `There is no item ${JSON.stringify(key)} in \`${sourceOf(expression.of)}\`, which has ${of.length}`,
    );
  }
  const name = textOf(key);
  if (of !== null && typeof of === "object") {
    const members = of as Readonly<Record<string, Value>>;
    if (Object.hasOwn(members, name)) return members[name] ?? null;
    if (optional) return null;
    const hint = didYouMean(name, Object.keys(members)) ?? `Use \`?.\` where ${JSON.stringify(name)} may be missing.`;
    throw fault(expression, file, `There is no ${JSON.stringify(name)} in \`${sourceOf(expression.of)}\``, hint);
  }
  throw fault(
    expression,
    file,
    `Cannot read ${JSON.stringify(name)} of \`${sourceOf(expression.of)}\`, which is ${kindOf(of)}`,
  );
}

function call(expression: Expression & { kind: "call" }, scope: Scope, file: string): Value {
  const row = Object.hasOwn(FUNCTIONS, expression.name) ? FUNCTIONS[expression.name] : undefined;
  if (!row) {
    throw fault(
      expression,
      file,
      `There is no function \`${expression.name}\``,
      didYouMean(expression.name, Object.keys(FUNCTIONS)),
    );
  }
  const given = expression.arguments;
  if (given.length < row.least || given.length > row.most) {
    throw fault(
      expression,
      file,
      `\`${expression.name}\` is called with ${given.length} arguments`,
      `It is \`${row.shape}\`.`,
    );
  }
  const result = row.apply(
    given.map((argument) => evaluate(argument, scope, file)),
    scope,
  );
  if ("fault" in result) throw fault(expression, file, `\`${expression.name}\` has no result: ${result.fault}`);
  return result.value;
}

function binary(expression: Expression & { kind: "binary" }, scope: Scope, file: string): Value {
  const { operator } = expression;
  const left = evaluate(expression.left, scope, file);
  if (operator === "||") return isTrue(left) ? left : evaluate(expression.right, scope, file);
  if (operator === "&&") return isTrue(left) ? evaluate(expression.right, scope, file) : left;
  const right = evaluate(expression.right, scope, file);
  return compare(expression, operator, [left, right], file);
}

function compare(
  expression: Expression,
  operator: Exclude<BinaryOperator, "||" | "&&">,
  [left, right]: readonly [Value, Value],
  file: string,
): boolean {
  switch (operator) {
    case "==":
      return areEqual(left, right);
    case "!=":
      return !areEqual(left, right);
    case "=~":
    case "!~":
      return matches(expression, textOf(left), textOf(right), file) === (operator === "=~");
    case "<":
    case ">":
    case "<=":
    case ">=": {
      const found = order(left, right);
      if (found === null)
        throw fault(expression, file, `Cannot order ${kindOf(left)} and ${kindOf(right)} with \`${operator}\``);
      if (operator === "<") return found < 0;
      if (operator === ">") return found > 0;
      return operator === "<=" ? found <= 0 : found >= 0;
    }
    default:
      return unreachable(operator);
  }
}

function matches(expression: Expression, text: string, source: string, file: string): boolean {
  if (text.length > MOST_SUBJECT) {
    throw fault(
      expression,
      file,
      `Cannot match a text of ${text.length} characters`,
      `Patterns match texts of up to ${MOST_SUBJECT}.`,
    );
  }
  try {
    return matchesPattern(compilePattern(source), text);
  } catch (error) {
    if (!(error instanceof PatternFault)) throw error;
    throw fault(expression, file, `Cannot match the pattern ${JSON.stringify(source)}: ${error.message}`);
  }
}

/** An expression as text again, for messages; long ones are cut. */
export function sourceOf(expression: Expression): string {
  const text = write(expression);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

function write(expression: Expression): string {
  switch (expression.kind) {
    case "literal":
      return JSON.stringify(expression.value);
    case "name":
      return expression.name;
    case "member":
      return `${write(expression.of)}${expression.optional ? "?." : "."}${expression.name}`;
    case "index":
      return `${write(expression.of)}${expression.optional ? "?[" : "["}${write(expression.index)}]`;
    case "call":
      return `${expression.name}(${expression.arguments.map(write).join(", ")})`;
    case "not":
      return `!${write(expression.of)}`;
    case "binary":
      return `(${write(expression.left)} ${expression.operator} ${write(expression.right)})`;
    case "conditional":
      return `(${write(expression.test)} ? ${write(expression.then)} : ${write(expression.otherwise)})`;
    default:
      return unreachable(expression);
  }
}

function fault(expression: Expression, file: string, message: string, hint: string | null = null): MeshError {
  return new MeshError("expression.invalid", message, {
    place: { file, ...expression.at },
    ...(hint === null ? {} : { hint }),
  });
}

function didYouMean(name: string, candidates: readonly string[]): string | null {
  const meant = nearest(name, candidates);
  return meant === null ? null : `Did you mean \`${meant}\`?`;
}
