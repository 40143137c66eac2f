// What this version reads in a definition and cannot execute.

import { MeshError } from "../base/errors.ts";
import type { Definition } from "../spec/definition.ts";
import type { DefinitionFile } from "./definition-file.ts";

/** Says, before anything runs, what this program parses and cannot execute. All of it at once. */
export function refuseUnsupported(
  definition: Definition,
  keys: ReadonlySet<string>,
  file: DefinitionFile,
  base: string | null,
): void {
  const faults: { text: string; line: number; column: number }[] = [];
  if (base !== null && base !== "host") {
    throw new MeshError("definition.unsupported", `Cannot run with --base ${base}`, {
      hint: "`--base host` runs on this machine's own system.",
    });
  }
  const isHost = definition.base.kind === "image" && definition.base.image === "host";
  if (base === null && !isHost) {
    const what =
      definition.base.kind === "call"
        ? "a base made by a run"
        : `base image ${JSON.stringify(typeof definition.base.image === "string" ? definition.base.image : "of an expression")}`;
    faults.push({
      text: `${what} is not executed by this version: container images come later. \`--base host\` runs the tasks on this machine's own system`,
      ...definition.base.at,
    });
  }
  for (const task of definition.tasks) {
    if (!keys.has(task.key)) continue;
    for (const { feature, at } of task.notExecuted)
      faults.push({ text: `task ${task.key}: ${feature} is not executed by this version`, ...at });
  }
  const [first, ...rest] = faults;
  if (first === undefined) return;
  const others = rest.map(({ text, line, column }) => `${file.path}:${line}:${column}: ${text}`);
  throw new MeshError("definition.unsupported", `Cannot run ${file.path}: ${first.text}`, {
    place: { file: file.path, line: first.line, column: first.column },
    cause: others.length === 0 ? undefined : new Error(others.slice(0, 20).join("\n")),
    ...(first.text.includes("--base host")
      ? { hint: "Run it with `--base host`, or set `base: { image: host }`." }
      : {}),
  });
}
