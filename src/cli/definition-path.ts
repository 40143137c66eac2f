// Which definition is meant when none is named: tasks.yml, or the only one in .mesh/ or .rwx/. It reads names, never files.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { MeshError, errnoOf } from "../base/errors.ts";

const FILES = ["tasks.yml", "tasks.yaml"];
const FOLDERS = [".mesh", ".rwx"];

/** Path relative to `cwd`. Throws `definition.not-found` when there is none, or more than one to choose from. */
export function defaultDefinition(cwd: string): string {
  const file = FILES.find((name) => existsSync(join(cwd, name)));
  if (file !== undefined) return file;
  for (const folder of FOLDERS) {
    const found = definitionsIn(cwd, folder);
    if (found.length === 1) return found[0] ?? "";
    if (found.length > 1) {
      throw new MeshError(
        "definition.not-found",
        `Cannot choose a run definition: ${folder}/ has ${found.length} of them`,
        {
          hint: `Name one: ${found
            .slice(0, 5)
            .map((path) => `\`mesh run ${path}\``)
            .join(", ")}.`,
        },
      );
    }
  }
  throw new MeshError(
    "definition.not-found",
    `Cannot find a run definition in ${cwd}: there is no tasks.yml, .mesh/*.yml or .rwx/*.yml`,
  );
}

function definitionsIn(cwd: string, folder: string): readonly string[] {
  try {
    return readdirSync(join(cwd, folder))
      .filter((name) => /\.ya?ml$/.test(name) && !name.startsWith("."))
      .sort()
      .map((name) => `${folder}/${name}`);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw error;
  }
}
