// The condition of an `after`, evaluated over the states of the tasks it names.

import { evaluate } from "../spec/expression/evaluate.ts";
import { type Scope, isTrue } from "../spec/expression/value.ts";
import type { AfterEvaluator } from "../sched/after.ts";

export const evaluateAfter: AfterEvaluator = (condition, states) =>
  isTrue(evaluate(condition, states as unknown as Scope));
