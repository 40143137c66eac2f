// Failures as they cross the wire: a code of our own table and a message, made harmless. It never passes on a stack, a cause or
// the text of an error that is not a `MeshError`.

import { ERROR_CODES, type ErrorCode, MeshError } from "../base/errors.ts";
import { LIMITS } from "../base/limits.ts";

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What a caller is told of an error that a handler threw. */
export function wireErrorOf(error: unknown, method: string): WireError {
  if (error instanceof MeshError) return { code: error.code, message: error.message.slice(0, LIMITS.peerMessageChars) };
  return { code: "peer.failed", message: `The handler of ${method} failed` };
}

/** Reads a failure that a peer sent: a code that is not in our table becomes `peer.failed`. */
export function parseWireError(value: unknown): WireError {
  const [code, message] = Array.isArray(value) ? (value as readonly unknown[]) : [];
  return {
    code: typeof code === "string" && Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : "peer.failed",
    message: typeof message === "string" ? plainText(message, LIMITS.peerMessageChars) : "It did not say why",
  };
}

/** Text from outside without control characters (no terminal escapes) and no longer than `mostChars`. */
export function plainText(text: string, mostChars: number): string {
  return text.slice(0, mostChars).replaceAll(/\p{Cc}|\p{Cf}/gu, " ");
}
