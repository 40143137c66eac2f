// `mesh service status`: whether the node runs, how, and where its log is.

import { ERROR_CODES } from "../../base/errors.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { isActive, UNIT } from "../systemd-unit.ts";
import { addressWords } from "../text/mesh-words.ts";

export const execute: Execute = async (context, args) => {
  const json = args.on("json");
  const keeper = await context.keeper();
  const running = await (await keeper.running())?.status();
  const byService = isActive(context);
  if (json) printJson(context, { running: running ?? null, service: byService, log: keeper.logPath });
  else if (running === undefined)
    printLines(context, ["No node runs here. `mesh up` or `mesh service install` starts it."]);
  else
    printLines(context, [
      `${running.name} runs as process ${running.pid}, at ${running.addresses.map(addressWords).join(", ")}.`,
      byService
        ? `Started by systemd; its log: journalctl --user -u ${UNIT}`
        : `Started by hand; its log: ${keeper.logPath}`,
    ]);
  return running === undefined ? ERROR_CODES["node.not-running"].exit : 0;
};
