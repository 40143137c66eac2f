// `mesh doctor`: every ability that runs need here, whether it holds, why not, and what to do about it.

import { ERROR_CODES } from "../../base/errors.ts";
import { printable } from "../../base/text.ts";
import { type CommandContext, type Execute, printJson, printLines } from "../context.ts";
import { resolveHome } from "../home.ts";
import { pad } from "../text/columns.ts";
import type { Style } from "../text/style.ts";
import { VERSION } from "../../base/version.ts";

/** One thing that may or may not work here. */
export interface Ability {
  /** Stable, for programs: "user-namespaces". */
  readonly name: string;
  /** For people: "user namespaces". */
  readonly title: string;
  readonly holds: boolean;
  /** Whether tasks cannot run isolated without it. */
  readonly required: boolean;
  /** What was found: "kernel 6.1" or why it does not hold. */
  readonly detail: string;
  /** What to do; empty when nothing has to be done. */
  readonly remedy: string;
}

export const execute: Execute = async (context, args) => {
  const abilities = await findAbilities(context);
  const ready = abilities.every((ability) => ability.holds || !ability.required);
  if (args.on("json")) printJson(context, { version: VERSION, ready, abilities });
  else printLines(context, abilityLines(abilities, ready, context.style));
  return ready ? 0 : ERROR_CODES["context.unavailable"].exit;
};

/** The table for people: what holds, then what is missing with its remedy below it. */
export function abilityLines(abilities: readonly Ability[], ready: boolean, style: Style): readonly string[] {
  const width = Math.max(...abilities.map(({ title }) => title.length));
  const lines = abilities.flatMap((ability) => {
    const sign = ability.holds ? style.green("✓") : ability.required ? style.red("✗") : style.yellow("-");
    const line = `${sign} ${pad(ability.title, width)}  ${style.dim(printable(ability.detail))}`;
    const remedy = ability.remedy.split("\n").map((text) => `${" ".repeat(width + 4)}${text}`);
    return ability.holds || ability.remedy === "" ? [line] : [line, ...remedy];
  });
  const verdict = ready
    ? `${style.green("✓")} Tasks run isolated on this machine.`
    : `${style.red("✗")} Tasks cannot be isolated here. \`mesh run --isolation process\` runs them without any isolation.`;
  return [...lines, "", verdict];
}

/** Abilities without which no task can be isolated. */
const REQUIRED: ReadonlySet<string> = new Set(["user-namespaces", "store-filesystem", "context", "seccomp"]);

async function findAbilities(context: CommandContext): Promise<readonly Ability[]> {
  const home = resolveHome(context.env);
  const { probeAbilities } = await import("../../oci/io/probe.ts");
  const probed = (await probeAbilities({ home })).map(({ id, title, ok, detail, remedy }) => ({
    name: id,
    title,
    holds: ok,
    required: REQUIRED.has(id),
    detail,
    remedy: remedy ?? "",
  }));
  return [...probed, await storeAbility(home), gitAbility(), ...(await abilitiesOfMesh(context, home))];
}

async function abilitiesOfMesh(context: CommandContext, home: string): Promise<readonly Ability[]> {
  const { meshAbilities } = await import("../../node/mesh-abilities.ts");
  const node = await (await context.keeper()).running();
  const abilities = await meshAbilities(home, (await node?.status()) ?? null);
  return abilities.map((ability) => ({ ...ability, required: false }));
}

async function storeAbility(home: string): Promise<Ability> {
  const { accessSync, constants, mkdirSync } = await import("node:fs");
  const common = { name: "store", title: "MESH_HOME can be written", required: true };
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
    accessSync(home, constants.W_OK);
    return { ...common, holds: true, detail: home, remedy: "" };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { ...common, holds: false, detail: why, remedy: "Set MESH_HOME to a folder that you may write to." };
  }
}

function gitAbility(): Ability {
  const path = Bun.which("git");
  return {
    name: "git",
    title: "git, for the package git/clone",
    required: false,
    holds: path !== null,
    detail: path ?? "not installed",
    remedy: path === null ? "Install git." : "",
  };
}
