// The folder of a run definition, as `${{ run.dir }}` shows it to a task: a copy of its files, taken once a run, so that an
// edit in the middle of it is seen by all tasks or by none.

import { type Dirent, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { MeshError } from "../base/errors.ts";
import type { Filter } from "../store/filter.ts";
import type { Store } from "../store/io/store.ts";
import type { LayerRef } from "../store/layer.ts";

/** Most files of a definition's folder. */
const MOST_FILES = 100_000;

/** The folder's files that the filter keeps, as a layer's workspace. Throws `io.failed` when there are too many. */
export async function runDirectoryLayer(directory: string, filter: Filter, store: Store): Promise<LayerRef> {
  const files: { source: string; path: string }[] = [];
  const visit = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort(byName)) {
      const source = join(folder, entry.name);
      const path = relative(directory, source);
      if (entry.isDirectory()) {
        // mesh's own state may lie in the folder: it is no part of it
        if (entry.name !== ".git" && source !== store.paths.home) visit(source);
      } else if ((entry.isFile() || entry.isSymbolicLink()) && filter.decide(path, false) !== "hidden")
        files.push({ source, path });
      if (files.length > MOST_FILES) {
        throw new MeshError(
          "io.failed",
          `Cannot show the folder ${directory} to a task: it has more than ${MOST_FILES} files`,
          {
            hint: "Put the definition into a folder of its own, like .mesh/.",
          },
        );
      }
    }
  };
  visit(directory);
  return await store.fromFiles(files, { scope: `run.dir ${directory}` });
}

function byName(a: Dirent, b: Dirent): number {
  return a.name < b.name ? -1 : 1;
}
