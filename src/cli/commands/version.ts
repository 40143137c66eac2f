// `mesh version`: the version, and with --json what a bug report needs.

import { type Execute, printJson, printLines } from "../context.ts";
import { COMMIT, VERSION } from "../../base/version.ts";

export const execute: Execute = async (context, args) => {
  if (!args.on("json")) {
    printLines(context, [`mesh ${VERSION}`]);
    return 0;
  }
  printJson(context, {
    version: VERSION,
    commit: COMMIT,
    runtime: `bun ${Bun.version}`,
    os: process.platform,
    arch: process.arch,
  });
  return 0;
};
