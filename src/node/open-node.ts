// Opens this machine's node: the parts of every floor put together. One that serves takes work of others; one for the time of a
// command does not.

import { VERSION } from "../base/version.ts";
import { openMesh } from "../mesh/io/mesh.ts";
import { Daemon } from "./daemon.ts";
import { keepToLimit, readCacheLimit } from "./cache-limit.ts";
import { findGpus } from "./gpus.ts";
import { applyWish, lentGpus, readLending, writeLending } from "./lending.ts";
import { accessOf, gathered } from "./mesh-access.ts";
import { MeshNode } from "./node.ts";
import type { ServeOptions } from "./node-service.ts";
import { SnapshotPublisher } from "./snapshot-publisher.ts";
import { meshFolder } from "./socket-path.ts";

/** How often a node that serves others looks whether its store has grown over its limit. */
const LIMIT_EVERY_MS = 5 * 60_000;

/** Most notices that a node keeps for those who ask how it is. */
const MOST_NOTICES = 8;

export interface DaemonOptions {
  readonly home: string;
  /** null: for the time of one command; it takes no work. */
  readonly serve: ServeOptions | null;
}

/** Opens the node. Throws `mesh.not-a-member`, `node.already-running`, `mesh.identity-copied`, `usage.invalid`, `store.*`. */
export async function openDaemon({ home, serve }: DaemonOptions): Promise<Daemon> {
  await using stack = new AsyncDisposableStack();
  const notices = new Set<string>();
  const lending = serve === null ? readLending(home) : applyWish(readLending(home), serve);
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
  // only the one that runs says what is lent from now on
  if (serve !== null) writeLending(home, lending);
  const name = mesh.get(mesh.self)?.name;
  const node: MeshNode = stack.use(
    MeshNode.open({
      home,
      lending,
      mesh: () => Promise.resolve(access),
      keepsRuns: serve !== null,
      ...(name === undefined ? {} : { name }),
    }),
  );
  const access = accessOf(node, mesh);
  node.store.room.limitBytes = readCacheLimit(home).bytes;
  if (serve !== null) stack.use(keepingToLimit(node));
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

/** A machine that only works for others ends no run of its own after which it would tidy up. */
function keepingToLimit(node: MeshNode): Disposable {
  const timer = setInterval(() => {
    node.store.room.limitBytes = readCacheLimit(node.store.paths.home).bytes;
    // what is in use, or cannot be removed at the moment, goes the next time
    keepToLimit(node.store).catch(() => undefined);
  }, LIMIT_EVERY_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
