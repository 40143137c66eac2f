// `mesh join`: becomes a member where this machine is none yet, then runs its node.

import { MeshError } from "../../base/errors.ts";
import { printable } from "../../base/text.ts";
import type { Address } from "../../mesh/peer-view.ts";
import type { FoundMesh, Membership, MeshSeat } from "../../node/node-service.ts";
import { type CommandContext, type Execute, printJson, printLines } from "../context.ts";
import type { Arguments } from "../grammar/arguments.ts";
import { parseAddress, serveOptions } from "../node-flags.ts";
import { readSecret } from "../secret.ts";
import { addressWords, inviteLines, membershipJson, meshWords } from "../text/mesh-words.ts";

export const execute: Execute = async (context, args) => {
  const options = serveOptions(args);
  const wish = wishOf(args);
  const keeper = await context.keeper();
  const seat = await context.seat();
  const json = args.on("json");
  const before = await seat.membership();
  if (before !== null && wish.code !== null)
    throw new MeshError(
      "mesh.already-a-member",
      `Cannot join: this machine is ${before.name} of ${meshWords(before.mesh)} already`,
    );
  const joined = before === null ? await becomeMember(context, seat, { ...wish, name: args.text("name"), json }) : null;
  const membership = before ?? joined?.membership;
  if (membership === undefined) throw new Error("Bug: a join without an outcome");
  if (joined !== null) {
    if (json) printJson(context, { joined: membershipJson(membership), made: joined.made });
    else
      printLines(context, [
        `${joined.made ? "Found no mesh here, so made" : "Joined"} ${meshWords(membership.mesh)} as ${printable(membership.name)}.`,
      ]);
  }
  if (args.on("detach")) {
    const status = (await keeper.running())?.status() ?? keeper.start(options);
    const { pid } = await status;
    if (!json)
      printLines(context, [`Its node runs in the background (process ${pid}). \`mesh nodes\` shows the mesh.`]);
    return 0;
  }
  const { runNode } = await import("../foreground-node.ts");
  return await runNode(context, {
    keeper,
    options,
    show: json ? "json" : args.on("plain") || !context.stdout.isTerminal ? "plain" : "live",
    onServing: async (service) => {
      if (joined?.made !== true) return [];
      const invite = await service.invite({
        roles: ["worker", "submitter"],
        ttlMs: FIRST_INVITE_MS,
        memberForMs: null,
      });
      return inviteLines(invite, (await service.status()).addresses, context.now.unixMs());
    },
  });
};

/** The first machine of a mesh prints a code at once, good for so long. */
const FIRST_INVITE_MS = 30 * 60_000;
const STANDARD_INPUT = "-";

interface Wish {
  readonly address: Address | null;
  readonly code: string | null;
}

function wishOf(args: Arguments): Wish {
  const [first, second] = args.words;
  if (first === undefined) return { address: null, code: null };
  const address = parseAddress(first);
  if (address !== null) return { address, code: second ?? null };
  if (second !== undefined)
    throw new MeshError("usage.invalid", `Cannot read ${JSON.stringify(first)}: HOST:PORT is expected before the code`);
  return { address: null, code: first };
}

async function becomeMember(
  context: CommandContext,
  seat: MeshSeat,
  wish: Wish & { readonly name: string | null; readonly json: boolean },
): Promise<{ readonly membership: Membership; readonly made: boolean }> {
  const stop = new AbortController();
  context.onInterrupt(() => stop.abort());
  const { address, name } = wish;
  let { code } = wish;
  if (code === null && address === null) {
    const found = await seat.find(stop.signal);
    if (found.length === 0) return { membership: await seat.init(name), made: true };
    if (!wish.json) printLines(context, foundLines(found));
    context.stdout.flush();
  }
  code = code === null || code === STANDARD_INPUT ? await readSecret(context, "Code: ", stop.signal) : code;
  return { membership: await seat.join({ address, code, name }, stop.signal), made: false };
}

export function foundLines(found: readonly FoundMesh[]): readonly string[] {
  return [
    found.length === 1 ? "Found a mesh:" : `Found ${found.length} meshes:`,
    ...found.map(({ mesh, nodes, inviting }) => {
      const names = nodes.map((node) => `${printable(node.name)} at ${addressWords(node.address)}`).join(", ");
      return `  mesh ${printable(mesh)}: ${names}${inviting ? "" : " (no invitation is open there: `mesh invite`)"}`;
    }),
  ];
}
