// `mesh service install`: the node starts with its user's login.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { MeshError } from "../../base/errors.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { resolveHome } from "../home.ts";
import { isActive, lingers, systemctl, UNIT, unitPath, unitText } from "../systemd-unit.ts";

export const execute: Execute = async (context, args) => {
  const json = args.on("json");
  const seat = await context.seat();
  if ((await seat.membership()) === null)
    throw new MeshError("mesh.not-a-member", "Cannot install the service: this machine is in no mesh");
  const keeper = await context.keeper();
  if ((await keeper.running()) !== null && !isActive(context))
    throw new MeshError("node.already-running", "Cannot install the service: a node runs that it did not start");
  const path = unitPath(context);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, unitText(context.programWords, resolveHome(context.env)));
  try {
    systemctl(context, "daemon-reload");
    systemctl(context, "enable", "--now", UNIT);
  } catch (error) {
    // a unit that could not be started is not left for the next login
    rmSync(path, { force: true });
    throw error;
  }
  const goesOn = lingers(context);
  if (json) printJson(context, { unit: path, enabled: true, lingers: goesOn });
  else
    printLines(context, [
      `Wrote ${path}, and started it.`,
      ...(goesOn ? [] : ["It ends when you log out. `loginctl enable-linger` keeps it going."]),
    ]);
  return 0;
};
