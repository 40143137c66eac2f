// The gate of `after` with a condition: what the condition may ask, and asking it. It knows no expression language.

import { MeshError } from "../base/errors.ts";
import type { Expression } from "../spec/expression/syntax.ts";
import type { TaskView } from "./task-state.ts";

/** What the condition of an `after` may ask of a task that is final. At most one of them holds. */
export interface AfterState {
  readonly succeeded: boolean;
  readonly failed: boolean;
  readonly skipped: boolean;
}

/** Evaluates the condition of an `after`. Must be pure; may throw a `MeshError`, which refuses the task. */
export type AfterEvaluator = (condition: Expression, states: Readonly<Record<string, AfterState>>) => boolean;

/** Asks a condition about tasks that are final. An error that the evaluator meant for the user is an answer. */
export function afterAllows(
  condition: Expression,
  before: readonly TaskView[],
  evaluate: AfterEvaluator,
): boolean | MeshError {
  const states: Record<string, AfterState> = {};
  for (const { key, status } of before) {
    const { result, execution } = status;
    states[key] = { succeeded: result === "succeeded", failed: result === "failed", skipped: execution === "skipped" };
  }
  try {
    return evaluate(condition, states);
  } catch (error) {
    if (error instanceof MeshError) return error;
    throw error;
  }
}
