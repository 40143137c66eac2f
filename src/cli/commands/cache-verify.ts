// `mesh cache verify`: reads everything again and says what is damaged.

import { ERROR_CODES } from "../../base/errors.ts";
import { countOf, printable } from "../../base/text.ts";
import type { Damage } from "../archive.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import type { Style } from "../text/style.ts";

export const execute: Execute = async (context, args) => {
  const damages = await (await context.archive()).verify({ drop: false });
  if (args.on("json")) printJson(context, { damages });
  else if (damages.length === 0) printLines(context, [`${context.style.green("✓")} Everything in the cache matches its hashes.`]);
  else {
    printLines(context, [
      ...damages.map((damage) => damageLine(damage, context.style)),
      "",
      `${countOf(damages.length, "thing")} damaged. \`mesh cache prune --corrupt\` drops them; the tasks that made them run again.`,
    ]);
  }
  return damages.length === 0 ? 0 : ERROR_CODES["store.corrupt"].exit;
};

/** "✗ blob sha256:...: its content has another hash" */
export function damageLine({ kind, name, problem }: Damage, style: Style): string {
  return `${style.red("✗")} ${kind} ${printable(name)}: ${printable(problem)}`;
}
