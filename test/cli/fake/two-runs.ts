// What is known of two runs: the latest one failed, the older one has one task.

import { FakeArchive } from "./archive.ts";
import { STATUS, runJson, taskJson } from "./run-json.ts";

/** Id of the older run. */
export const OLDER = "01ja0000000000000r";

export function twoRuns(): FakeArchive {
  const outputs = { values: { version: "1.2" }, artifacts: [], links: {}, testResults: [], problems: [] };
  return new FakeArchive([
    runJson([
      taskJson("lint", STATUS.hit),
      taskJson("build", STATUS.succeeded, { outputs }),
      taskJson("test", STATUS.failed, { exitCode: 2 }),
    ]),
    runJson([taskJson("old", STATUS.succeeded)], { id: OLDER }),
  ]);
}
