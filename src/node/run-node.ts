// A node for one run: alone until a task has to be executed, then a member of its mesh, if there is one. A run that is answered from
// the cache loads nothing of the mesh.

import { existsSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { VERSION } from "../base/version.ts";
import type { Mesh } from "../mesh/io/mesh.ts";
import { readLending } from "./lending.ts";
import { MeshNode } from "./node.ts";
import type { MeshAccess } from "./remote/mesh-side.ts";
import { meshFolder } from "./socket-path.ts";

export class RunNode implements AsyncDisposable {
  readonly #node: MeshNode;
  #mesh: Mesh | null = null;

  constructor(home: string) {
    this.#node = MeshNode.open({ home, lending: readLending(home), mesh: () => this.#join(home) });
  }

  run(request: Parameters<MeshNode["run"]>[0]): ReturnType<MeshNode["run"]> {
    return this.#node.run(request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mesh?.[Symbol.asyncDispose]();
    await this.#node[Symbol.asyncDispose]();
  }

  /** null: the run goes on here alone. */
  async #join(home: string): Promise<MeshAccess | null> {
    const folder = meshFolder(home);
    if (!existsSync(folder)) return null;
    const [{ openMesh }, { loadRoster }, { accessOf, gathered }] = await Promise.all([
      import("../mesh/io/mesh.ts"),
      import("../mesh/io/roster-file.ts"),
      import("./mesh-access.ts"),
    ]);
    if (loadRoster(folder) === null) return null;
    try {
      this.#mesh = await openMesh({ folder, version: VERSION, port: null });
    } catch (error) {
      // another command of this home is the member at the moment
      if (error instanceof MeshError && error.code === "node.already-running") return null;
      throw error;
    }
    await gathered(this.#mesh);
    return accessOf(this.#node, this.#mesh);
  }
}
