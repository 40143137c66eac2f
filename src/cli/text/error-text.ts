// How a failure looks: `error: message`, the place, the causes, the hint; or the error object as JSON. It never exits.

import type { ErrorJson, MeshError } from "../../base/errors.ts";
import { printable } from "../../base/text.ts";
import type { Style } from "./style.ts";

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
