// What an expression's value is, when it is true, how two compare, and its text.

export type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };

/** What the names at the start of an expression stand for: `init`, `tasks`, `run`, ... */
export type Scope = Readonly<Record<string, Value>>;

/**
 * False are: null, false, 0, the empty text and the text "false"; all else is true. What a task writes to its values, and
 * what a trigger gives as init, is text: `false` written there has to be false here.
 */
export function isTrue(value: Value): boolean {
  return value !== null && value !== false && value !== 0 && value !== "" && value !== "false";
}

/** Text of a value in a template: null is empty, lists and maps are JSON. */
export function textOf(value: Value): string {
  if (value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/**
 * Equality. Null equals only null. Scalars are equal when their texts are (`"3" == 3`, `"true" == true`), numbers and
 * numeric text also when their amounts are (`"3.0" == 3`). Lists and maps are equal when all they hold is.
 */
export function areEqual(left: Value, right: Value): boolean {
  if (left === null || right === null) return left === right;
  if (typeof left === "object" || typeof right === "object") return equalDeep(left, right);
  if (String(left) === String(right)) return true;
  if (typeof left !== "number" && typeof right !== "number") return false;
  const [a, b] = [amountOf(left), amountOf(right)];
  return a !== null && b !== null && a === b;
}

/**
 * Order: -1, 0 or 1. By amount when both are numbers or numeric text, else by UTF-16 code units when both are text;
 * null when the two have no order.
 */
export function order(left: Value, right: Value): -1 | 0 | 1 | null {
  const [a, b] = [amountOf(left), amountOf(right)];
  if (a !== null && b !== null) return a < b ? -1 : a > b ? 1 : 0;
  if (typeof left !== "string" || typeof right !== "string") return null;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** "a list", "a text", ...: for messages. */
export function kindOf(value: Value): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  switch (typeof value) {
    case "string":
      return "a text";
    case "number":
      return "a number";
    case "boolean":
      return "a boolean";
    default:
      return "a map";
  }
}

function amountOf(value: Value): number | null {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || !/^\s*-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\s*$/.test(value)) return null;
  return Number(value);
}

function equalDeep(left: Value, right: Value): boolean {
  if (left === null || right === null || typeof left !== "object" || typeof right !== "object")
    return areScalarsEqual(left, right);
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const [a, b] = [left as Readonly<Record<string, Value>>, right as Readonly<Record<string, Value>>];
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && equalDeep(a[key] ?? null, b[key] ?? null));
}

function areScalarsEqual(left: Value, right: Value): boolean {
  if (typeof left === "object" || typeof right === "object") return left === right;
  return areEqual(left, right);
}
