// What a promise failed with, as data to compare.

import { MeshError } from "../../src/base/errors.ts";

export interface Failure {
  /** Of a `MeshError`; else the error's name. "none" when it did not fail. */
  readonly code: string;
  readonly message: string;
}

/** Waits for a promise and says how it failed. */
export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  try {
    return { code: "none", message: Bun.inspect(await promise) };
  } catch (error) {
    if (error instanceof MeshError) return { code: error.code, message: error.message };
    return error instanceof Error
      ? { code: error.name, message: error.message }
      : { code: typeof error, message: String(error) };
  }
}
