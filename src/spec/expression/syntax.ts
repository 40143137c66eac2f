// The syntax tree of `${{ }}` expressions: plain JSON data.

import type { Position } from "../position.ts";

export type Expression = { readonly at: Position } & ExpressionNode;

type ExpressionNode =
  | { readonly kind: "literal"; readonly value: string | number | boolean | null }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "member"; readonly of: Expression; readonly name: string; readonly optional: boolean }
  | { readonly kind: "index"; readonly of: Expression; readonly index: Expression; readonly optional: boolean }
  | { readonly kind: "call"; readonly name: string; readonly arguments: readonly Expression[] }
  | { readonly kind: "not"; readonly of: Expression }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: "conditional";
      readonly test: Expression;
      readonly then: Expression;
      readonly otherwise: Expression;
    };

export type BinaryOperator = "||" | "&&" | "==" | "!=" | "=~" | "!~" | "<" | ">" | "<=" | ">=";
