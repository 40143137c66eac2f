// `mesh invite`: a one-time code, and who used it.

import { MeshError } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { parseDuration } from "../../base/units.ts";
import type { Role } from "../../mesh/roles.ts";
import type { InviteEnd } from "../../node/node-service.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import type { Arguments } from "../grammar/arguments.ts";
import { inviteLines, peerWords } from "../text/mesh-words.ts";

const LEAST_MS = 1_000;

export const execute: Execute = async (context, args) => {
  const ttlMs = timeOf(args, "for", {
    usual: LIMITS.inviteMs,
    most: LIMITS.inviteMostMs,
    words: "a time up to 24h is expected, like 10m",
  });
  const memberForMs = timeOf(args, "member-for", {
    usual: null,
    most: LIMITS.memberMostMs,
    words: "a time up to 10 years is expected, like 7d",
  });
  const json = args.on("json");
  const keeper = await context.keeper();
  const running = await keeper.running();
  if (running === null && args.on("no-wait"))
    throw new MeshError("node.not-running", "Cannot leave a code behind: no node runs here that could answer to it");
  const service = running ?? (await context.service());
  const invite = await service.invite({ roles: rolesOf(args), ttlMs, memberForMs });
  const { addresses } = await service.status();
  const { code, roles, expiresAtMs } = invite;
  if (json) printJson(context, { code, roles, expiresAt: new Date(expiresAtMs).toISOString(), memberForMs });
  else printLines(context, inviteLines(invite, addresses, context.now.unixMs()));
  if (args.on("no-wait")) return 0;
  context.stdout.flush();
  const stop = new AbortController();
  context.onInterrupt(() => stop.abort());
  const end = await service.inviteEnd(code, stop.signal).catch((error: unknown) => {
    if (stop.signal.aborted) return null;
    throw error;
  });
  if (end === null) return 130;
  if (json) printJson(context, { end });
  else printLines(context, [endWords(end)]);
  return end.kind === "joined" ? 0 : 4;
};

function endWords(end: InviteEnd): string {
  switch (end.kind) {
    case "joined":
      return `${peerWords({ name: end.name, id: end.peer })} joined.`;
    case "expired":
      return "Nobody used the code in time. `mesh invite` prints a new one.";
    case "burnt":
      return "A wrong code was tried, so this one is void. `mesh invite` prints a new one.";
  }
}

function timeOf<Usual extends number | null>(
  args: Arguments,
  flag: string,
  { usual, most, words }: { readonly usual: Usual; readonly most: number; readonly words: string },
): number | Usual {
  const text = args.text(flag);
  if (text === null) return usual;
  const ms = parseDuration(text);
  if (ms === null || ms < LEAST_MS || ms > most)
    throw new MeshError("usage.invalid", `Cannot read --${flag} ${JSON.stringify(text)}: ${words}`);
  return ms;
}

function rolesOf(args: Arguments): readonly Role[] {
  if (args.on("admin") && args.on("submit-only"))
    throw new MeshError("usage.invalid", "Cannot give --admin and --submit-only at once");
  if (args.on("admin") && args.text("member-for") !== null)
    throw new MeshError(
      "usage.invalid",
      "Cannot give --admin and --member-for at once: an admin is one until it is revoked",
    );
  if (args.on("submit-only")) return ["submitter"];
  return args.on("admin") ? ["worker", "submitter", "admin"] : ["worker", "submitter"];
}
