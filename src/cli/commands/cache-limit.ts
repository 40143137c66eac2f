// `mesh cache limit`: how large the cache may grow, shown or set.

import { MeshError } from "../../base/errors.ts";
import { formatBytes, parseBytes } from "../../base/units.ts";
import { type Execute, printJson, printLines } from "../context.ts";

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const text = args.words[0] ?? null;
  if (text !== null) archive.setCacheLimit(sizeOf(text));
  const { limitBytes, isLimitSet } = archive.cacheStats();
  if (args.on("json")) printJson(context, { limitBytes, isSet: isLimitSet });
  else {
    const size = limitBytes === null ? "no limit" : formatBytes(limitBytes);
    printLines(context, [
      isLimitSet ? size : `${size} ${context.style.dim("(a tenth of the disk; nobody has set another)")}`,
    ]);
  }
  return 0;
};

function sizeOf(text: string): number | null {
  if (text === "none") return null;
  const bytes = parseBytes(text);
  if (bytes !== null) return bytes;
  throw new MeshError("usage.invalid", `Cannot read the size ${JSON.stringify(text)}`, {
    hint: "Write it like 500mb or 20gb, or `none`.",
  });
}
