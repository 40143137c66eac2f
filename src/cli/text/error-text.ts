// How a failure looks: `error: message`, the place, the causes, the hint; or the error object as JSON. It never exits.

import { type ErrorJson, MeshError, errnoOf } from "../../base/errors.ts";
import { printable } from "../../base/text.ts";
import type { Style } from "./style.ts";

/** Makes a MeshError of whatever was thrown. What is no MeshError and no system error is a bug and stays what it is. */
export function asMeshError(error: unknown): MeshError | null {
  if (error instanceof MeshError) return error;
  const errno = errnoOf(error);
  // system errors alone: Bun gives codes to its own mistakes as well (ERR_...)
  if (errno === null || !/^E[A-Z0-9]+$/.test(errno) || !(error instanceof Error)) return null;
  if (errno === "ENOSPC") return new MeshError("store.full", `Cannot write: ${error.message}`, { cause: error });
  return new MeshError("io.failed", error.message, { cause: error });
}

/** Lines for people, without a trailing newline. */
export function errorLines(error: MeshError, style: Style): readonly string[] {
  const { message, hint, place, causes } = error.toJSON();
  const lines = [`${style.red(style.bold("error:"))} ${shown(message)}`];
  if (place) lines.push(style.dim(`  at ${printable(place.file)}:${place.line}:${place.column}`));
  for (const cause of causes) if (!message.includes(cause)) lines.push(style.dim(`  because: ${shown(cause)}`));
  if (hint !== "") lines.push(`${style.cyan("hint:")} ${shown(hint)}`);
  return lines;
}

/** The JSON form, with what a command wants to add. */
export function errorJson(error: MeshError): { readonly error: ErrorJson } {
  return { error: error.toJSON() };
}

/** A bug, with its stack: nothing that a reader of the manual could have caused. */
export function bugLines(error: unknown, version: string): readonly string[] {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return [
    `error: mesh ${version} has a bug: ${stack}`,
    "hint: Please report this text, with the command that showed it.",
  ];
}

function shown(text: string): string {
  return text.split("\n").map(printable).join("\n  ");
}
