// What a bug looks like: assertions that crash, and the check that a switch over a union is complete.

/** Throws when `condition` is false. For bugs only: bad input is a `MeshError`, an expected answer is a union. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Bug: ${message}`);
}

/** Ends a switch over a union: the compiler refuses the call while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`Bug: unexpected value ${JSON.stringify(value)}`);
}
