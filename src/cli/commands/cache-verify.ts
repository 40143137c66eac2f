// `mesh cache verify`: reads everything again, and says and drops what is damaged.

import { ERROR_CODES } from "../../base/errors.ts";
import { countOf, printable } from "../../base/text.ts";
import type { Damage } from "../archive.ts";
import { type CommandContext, type Execute, printJson, printLines } from "../context.ts";
import type { Style } from "../text/style.ts";

export const execute: Execute = async (context, args) => {
  const damages = await (await context.archive()).verify();
  if (args.on("json")) printJson(context, { damages });
  else printDamages(context, damages);
  return damages.length === 0 ? 0 : ERROR_CODES["store.corrupt"].exit;
};

/** Says what was found. */
export function printDamages(context: CommandContext, damages: readonly Damage[]): void {
  if (damages.length === 0)
    return printLines(context, [`${context.style.green("✓")} Everything in the cache matches its hashes.`]);
  const verdict = `Dropped ${countOf(damages.length, "damaged thing")}. The tasks that made them run again when they are needed.`;
  printLines(context, [...damages.map((damage) => damageLine(damage, context.style)), "", verdict]);
}

function damageLine({ kind, name, problem }: Damage, style: Style): string {
  return `${style.red("✗")} ${kind} ${printable(name)}: ${printable(problem)}`;
}
