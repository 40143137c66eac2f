// Where mesh keeps its state: one rule for every command.

import { isAbsolute, join, resolve } from "node:path";
import { MeshError } from "../base/errors.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * MESH_HOME, else $XDG_DATA_HOME/mesh (which counts only when it is absolute, as the XDG specification says), else
 * ~/.local/share/mesh. Absolute, without a trailing slash. Throws `store.unwritable` when none can be told.
 */
export function resolveHome(env: Environment): string {
  if (env["MESH_HOME"]) return resolve(env["MESH_HOME"]);
  if (env["XDG_DATA_HOME"] && isAbsolute(env["XDG_DATA_HOME"])) return join(env["XDG_DATA_HOME"], "mesh");
  if (env["HOME"] && isAbsolute(env["HOME"])) return join(env["HOME"], ".local/share/mesh");
  throw new MeshError("store.unwritable", "Cannot tell where to keep mesh's data: neither MESH_HOME nor HOME is set", {
    hint: "Set MESH_HOME to a folder of your own.",
  });
}
