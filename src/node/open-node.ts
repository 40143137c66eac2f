// Opens this machine's node: the parts of every floor put together. One that serves takes work of others; one for the time of a
// command does not, and one for a run opens the mesh only when the run needs it.

import { MeshError } from "../base/errors.ts";
import { VERSION } from "../base/version.ts";
import { MeshContent } from "../mesh/io/content-exchange.ts";
import { type Mesh, openMesh } from "../mesh/io/mesh.ts";
import { loadRoster } from "../mesh/io/roster-file.ts";
import { Daemon } from "./daemon.ts";
import { findGpus } from "./gpus.ts";
import { applyWish, type Lending, lentGpus, readLending, writeLending } from "./lending.ts";
import { MeshNode } from "./node.ts";
import type { ServeOptions } from "./node-service.ts";
import type { MeshAccess } from "./remote/mesh-side.ts";
import { SnapshotPublisher } from "./snapshot-publisher.ts";
import { meshFolder } from "./socket-path.ts";

/** How long a node that lives as long as a command waits for the machines that it knows. */
const GATHER_MS = 1_500;

/** Most notices that a node keeps for those who ask how it is. */
const MOST_NOTICES = 8;

/** A node for one run: alone until a task has to be executed, then a member of its mesh, if there is one. */
export function openNode(home: string): RunNode {
  return new RunNode(home);
}

class RunNode implements AsyncDisposable {
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

export interface DaemonOptions {
  readonly home: string;
  /** null: for the time of one command; it takes no work. */
  readonly serve: ServeOptions | null;
}

/** Opens the node. Throws `mesh.not-a-member`, `node.already-running`, `mesh.identity-copied`, `usage.invalid`, `store.*`. */
export async function openDaemon({ home, serve }: DaemonOptions): Promise<Daemon> {
  await using stack = new AsyncDisposableStack();
  const notices = new Set<string>();
  const lending = serve === null ? readLending(home) : keepWish(home, serve);
  const mesh = stack.use(
    await openMesh({
      folder: meshFolder(home),
      version: VERSION,
      port: serve?.port ?? "any",
      onNotice: ({ error }) => {
        if (notices.size < MOST_NOTICES) notices.add(error.message);
      },
    }),
  );
  const name = mesh.get(mesh.self)?.name;
  const node: MeshNode = stack.use(
    MeshNode.open({ home, lending, mesh: () => Promise.resolve(access), ...(name === undefined ? {} : { name }) }),
  );
  const access = accessOf(node, mesh);
  const work = serve === null ? null : stack.use(await node.serveWork({ draining: lending.draining }));
  const publisher =
    serve === null
      ? null
      : stack.use(
          new SnapshotPublisher({
            node,
            peers: mesh,
            home,
            gpus: lentGpus(lending, findGpus),
            draining: lending.draining,
          }),
        );
  if (serve === null) await gathered(mesh);
  const parts = stack.move();
  return new Daemon({
    node,
    mesh,
    content: access.content,
    remarks: () => [...mesh.discoveryFaults, ...notices],
    setDraining: (draining) => {
      writeLending(home, { ...readLending(home), draining });
      work?.drain(draining);
      publisher?.drain(draining);
    },
    close: () => parts.disposeAsync(),
  });
}

function keepWish(home: string, { cpus, memory, gpus, labels }: ServeOptions): Lending {
  const lending = applyWish(readLending(home), { cpus, memory, gpus, labels });
  writeLending(home, lending);
  return lending;
}

function accessOf(node: MeshNode, mesh: Mesh): MeshAccess {
  return { peers: mesh, content: new MeshContent({ store: node.store, peers: mesh }) };
}

/** Waits until every machine that is known is there, for a short time. */
async function gathered(mesh: Mesh): Promise<void> {
  const all = Promise.withResolvers<void>();
  const look = () => {
    if (mesh.list().every(({ state }) => state !== "down" && state !== "suspect")) all.resolve();
  };
  using _watch = mesh.watch(look);
  look();
  await Promise.race([all.promise, Bun.sleep(GATHER_MS)]);
}
