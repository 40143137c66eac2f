// `mesh blob ls [DIGEST]`: the blobs of this machine, or who has one.

import { hostname } from "node:os";
import type { Digest } from "../../base/digest.ts";
import { printable } from "../../base/text.ts";
import { formatBytes } from "../../base/units.ts";
import { type CommandContext, type Execute, printJson, printLines } from "../context.ts";
import { tableLines } from "../text/columns.ts";
import { agoWords } from "../text/words.ts";
import { asDigest } from "./blob-get.ts";

const USUAL_LIMIT = 50;

export const execute: Execute = async (context, args) => {
  const blobs = await context.blobs();
  const word = args.words[0];
  if (word === undefined) {
    const entries = blobs.list(args.integer("limit") ?? USUAL_LIMIT);
    if (args.on("json")) {
      const asJson = entries.map(({ usedAtMs, ...entry }) => ({ ...entry, usedAt: new Date(usedAtMs).toISOString() }));
      printJson(context, { blobs: asJson });
    } else if (entries.length === 0) printLines(context, ["No blobs here. `mesh blob put FILE` keeps one."]);
    else {
      const columns = [{ title: "DIGEST" }, { title: "SIZE", align: "right" }, { title: "USED" }] as const;
      const rows = entries.map(({ digest, sizeBytes, usedAtMs }) => [
        digest,
        formatBytes(sizeBytes),
        agoWords(usedAtMs, context.now.unixMs()),
      ]);
      printLines(context, tableLines(columns, rows, context.style.dim));
    }
    return 0;
  }
  const digest = asDigest(word);
  const here = blobs.has(digest);
  const membership = await (await context.seat()).membership();
  const holders = membership === null ? [] : await holdersOf(context, digest);
  const names = [...(here ? [membership?.name ?? hostname()] : []), ...holders];
  if (args.on("json")) printJson(context, { digest, here, nodes: names });
  else printLines(context, names.length === 0 ? ["No machine that is up has it."] : names.map(printable));
  return names.length === 0 ? 1 : 0;
};

/** Names of the other machines that have it. */
async function holdersOf(context: CommandContext, digest: Digest): Promise<readonly string[]> {
  const service = await context.service();
  return (await service.locate([{ kind: "blob", digest }])).get(digest) ?? [];
}
