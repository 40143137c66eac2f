// `mesh run`: from flags to a run.

import { MeshError } from "../../base/errors.ts";
import { type CommandContext, type Execute, printLines } from "../context.ts";
import { defaultDefinition } from "../definition-path.ts";
import { driveRun, type RunWish, submitRun } from "../driving.ts";
import type { Arguments } from "../grammar/arguments.ts";

export const execute: Execute = async (context, args) => {
  const json = args.on("json");
  const wish: RunWish = {
    path: args.words[0] ?? chosen(context, json),
    targets: args.texts("target"),
    init: initOf(args),
    failFast: args.on("fail-fast"),
    cache: !args.on("no-cache"),
    base: args.text("base"),
    title: args.text("title"),
    backend: args.text("isolation") === "process" ? "process" : "context",
    jobs: args.integer("jobs"),
    nodes: args.texts("node"),
    labels: args.texts("label"),
  };
  if (!args.on("detach")) return await driveRun(context, wish, { json, plain: args.on("plain") });
  const node = await (await context.keeper()).running();
  if (node === null)
    throw new MeshError("node.not-running", "Cannot leave the run to a node in the background: none runs here");
  return await submitRun(context, node, { wish, json });
};

function chosen(context: CommandContext, json: boolean): string {
  const path = defaultDefinition(context.cwd);
  if (!json) printLines(context, [context.style.dim(`Running ${path}`)]);
  return path;
}

function initOf(args: Arguments): Readonly<Record<string, string>> {
  const init: Record<string, string> = {};
  for (const text of args.texts("init")) {
    const equals = text.indexOf("=");
    if (equals < 1)
      throw new MeshError("usage.invalid", `Cannot read --init ${JSON.stringify(text)}: KEY=VALUE is expected`);
    init[text.slice(0, equals)] = text.slice(equals + 1);
  }
  return init;
}
