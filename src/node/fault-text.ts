// A fault of a task as one line for people: what could not be done, and what helps.

import type { MeshError } from "../base/errors.ts";

/** The message, and the hint behind it when there is one. */
export function faultText({ message, hint }: MeshError): string {
  return hint === "" ? message : `${message}. ${hint}`;
}
