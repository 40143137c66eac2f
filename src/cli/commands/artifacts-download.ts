// `mesh artifacts download`: copies of artifacts into a folder of the user's.

import { relative, resolve } from "node:path";
import { MeshError } from "../../base/errors.ts";
import { countOf, printable } from "../../base/text.ts";
import { formatBytes } from "../../base/units.ts";
import { artifactsOf } from "../artifacts.ts";
import { type Execute, printJson, printLines } from "../context.ts";
import { safeCopy } from "../safe-copy.ts";
import { shortRun } from "../text/words.ts";

export const execute: Execute = async (context, args) => {
  const archive = await context.archive();
  const { entry, task, key, found } = artifactsOf(archive, args.words);
  if (found.length === 0)
    throw new MeshError("artifact.not-found", `Cannot download artifacts: run ${shortRun(entry.id)} left none`);
  const root = resolve(context.cwd, args.text("output") ?? ".");
  const force = args.on("force");
  const copied = [];
  for (const { task: owner, artifact } of found) {
    // one artifact stands where it was asked to; several stand apart, so that equal names do not meet
    const path =
      key !== null
        ? [artifact.name]
        : task !== null
          ? [artifact.key, artifact.name]
          : [owner, artifact.key, artifact.name];
    const copy = safeCopy({ source: await archive.artifactPath(artifact), root, path, mode: artifact.mode, force });
    copied.push({ task: owner, key: artifact.key, ...copy });
  }
  if (args.on("json")) printJson(context, { run: entry.id, artifacts: copied });
  else {
    const lines = copied.map(
      ({ path, files, sizeBytes }) =>
        `${printable(relative(context.cwd, path))}  ${context.style.dim(`${countOf(files, "file")}, ${formatBytes(sizeBytes)}`)}`,
    );
    printLines(context, lines);
  }
  return 0;
};
