// Small text files that may not be there: what the kernel says of itself, configuration of the machine. Never for input whose
// absence is a fault.

import { accessSync, constants, readFileSync } from "node:fs";

/** A file's text, or null when it is not there or cannot be read. */
export function readTextOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** The same, with no text for no file. */
export function readText(path: string): string {
  return readTextOrNull(path) ?? "";
}

/** Whether this process may write what is at `path`. */
export function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
