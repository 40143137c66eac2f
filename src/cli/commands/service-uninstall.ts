// `mesh service uninstall`: the node does not start with its user's login any more.

import { existsSync, rmSync } from "node:fs";
import { MeshError } from "../../base/errors.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { systemctl, UNIT, unitPath } from "../systemd-unit.ts";

export const execute: Execute = async (context, args) => {
  const json = args.on("json");
  const path = unitPath(context);
  if (!existsSync(path))
    throw new MeshError("usage.invalid", `Cannot remove the service: there is no ${path}`, {
      hint: "`mesh service install` makes it; `mesh down` stops a node that was started by hand.",
    });
  systemctl(context, "disable", "--now", UNIT);
  rmSync(path, { force: true });
  systemctl(context, "daemon-reload");
  if (json) printJson(context, { unit: path, removed: true });
  else printLines(context, [`Stopped the node and removed ${path}. This machine stays a member.`]);
  return 0;
};
