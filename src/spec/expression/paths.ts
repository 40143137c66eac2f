// What an expression names: every chain of accesses in it (`tasks.build.values.x`), its calls and its patterns.

import { unreachable } from "../../base/assert.ts";
import type { Position } from "../definition.ts";
import type { Expression } from "./syntax.ts";

/** A name and the accesses after it, as far as they are known without evaluating. */
export interface Path {
  readonly root: string;
  readonly segments: readonly Segment[];
  readonly at: Position;
}

export interface Segment {
  /** Null when an expression decides it. */
  readonly name: string | null;
  /** Reached by `?.` or `?[`: it may be missing. */
  readonly optional: boolean;
}

export interface Named {
  readonly paths: readonly Path[];
  readonly calls: readonly (Expression & { readonly kind: "call" })[];
  /** Literal right sides of `=~` and `!~`. */
  readonly patterns: readonly { readonly source: string; readonly at: Position }[];
}

/** Collects what an expression names, in order. */
export function namedIn(expression: Expression): Named {
  const named = {
    paths: [] as Path[],
    calls: [] as Named["calls"][number][],
    patterns: [] as Named["patterns"][number][],
  };
  walk(expression, named);
  return named;
}

function walk(
  expression: Expression,
  named: { paths: Path[]; calls: Named["calls"][number][]; patterns: Named["patterns"][number][] },
): void {
  switch (expression.kind) {
    case "literal":
      return;
    case "name":
      named.paths.push({ root: expression.name, segments: [], at: expression.at });
      return;
    case "member":
    case "index": {
      const root = chain(expression, named);
      if (root) named.paths.push(root);
      return;
    }
    case "call":
      named.calls.push(expression);
      for (const argument of expression.arguments) walk(argument, named);
      return;
    case "not":
      walk(expression.of, named);
      return;
    case "binary": {
      walk(expression.left, named);
      walk(expression.right, named);
      const { operator, right } = expression;
      if ((operator === "=~" || operator === "!~") && right.kind === "literal" && typeof right.value === "string")
        named.patterns.push({ source: right.value, at: right.at });
      return;
    }
    case "conditional":
      walk(expression.test, named);
      walk(expression.then, named);
      walk(expression.otherwise, named);
      return;
    default:
      unreachable(expression);
  }
}

/** The path of a chain of accesses; null when it starts with something else than a name, which is walked instead. */
function chain(expression: Expression, named: Parameters<typeof walk>[1]): Path | null {
  const segments: Segment[] = [];
  let at: Expression = expression;
  while (at.kind === "member" || at.kind === "index") {
    if (at.kind === "member") {
      segments.push({ name: at.name, optional: at.optional });
    } else {
      const { index } = at;
      segments.push({ name: index.kind === "literal" ? String(index.value) : null, optional: at.optional });
      walk(index, named);
    }
    at = at.of;
  }
  if (at.kind !== "name") {
    walk(at, named);
    return null;
  }
  return { root: at.name, segments: segments.reverse(), at: at.at };
}
