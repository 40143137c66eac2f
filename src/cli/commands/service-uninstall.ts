// `mesh service uninstall`: the node does not start with its user's login any more.

import { rmSync } from "node:fs";
import { type Execute, printJson, printLines } from "../context.ts";
import { systemctl, UNIT, unitPath } from "../systemd-unit.ts";

export const execute: Execute = async (context, args) => {
  const json = args.on("json");
  const path = unitPath(context);
  systemctl("disable", "--now", UNIT);
  rmSync(path, { force: true });
  systemctl("daemon-reload");
  if (json) printJson(context, { unit: path, removed: true });
  else printLines(context, [`Stopped the node and removed ${path}. This machine stays a member.`]);
  return 0;
};
