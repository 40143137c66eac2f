import { expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import type { NodeSnapshot } from "../../src/mesh/peer-view.ts";
import { LEND_ALL } from "../../src/node/lending.ts";
import { MeshNode } from "../../src/node/node.ts";
import { SnapshotPublisher } from "../../src/node/snapshot-publisher.ts";
import { temporaryFolder } from "../support/temporary.ts";

test("SnapshotPublisher says at once what there is, and again when it changes whether tasks are taken", async () => {
  using folder = temporaryFolder();
  await using node = MeshNode.open({ home: folder.path, lending: { ...LEND_ALL, cpuMilli: 500 } });
  const said: NodeSnapshot[] = [];
  const peers = { publish: (snapshot: NodeSnapshot) => void said.push(snapshot) };
  using publisher = new SnapshotPublisher({ node, peers, home: folder.path, gpus: [], draining: true });
  publisher.drain(false);
  expect(said.map(({ draining }) => draining)).toEqual([true, false]);
  expect(said[0]?.capacity).toMatchObject({ total: { cpuMilli: 500 }, free: { cpuMilli: 500 } });
});

test("SnapshotPublisher says soon what became free", async () => {
  using folder = temporaryFolder();
  await using node = MeshNode.open({ home: folder.path, lending: { ...LEND_ALL, cpuMilli: 500 } });
  const said: NodeSnapshot[] = [];
  const more = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const peers = { publish: (snapshot: NodeSnapshot) => more[said.push(snapshot) - 1]?.resolve() };
  const { claims } = node.store;
  const claim = claims.claim({
    key: null,
    owner: claims.owner("run", "task"),
    cpuMilli: 500,
    memoryBytes: 0,
    gpus: 0,
    gpuMemoryBytes: null,
    capacity: { ...node.totals.total, gpus: [] },
    nowMs: 0,
  });
  const everyMs = 3_600_000;
  using _ = new SnapshotPublisher({ node, peers, home: folder.path, gpus: [], draining: false, everyMs });
  if (claim.kind === "granted") claims.release(claim.id);
  await more[1]?.promise;
  expect(said.map(({ capacity }) => capacity.free.cpuMilli)).toEqual([0, 500]);
});

test("SnapshotPublisher says nothing while the store cannot be read, and does not fail", async () => {
  using folder = temporaryFolder();
  await using node = MeshNode.open({ home: folder.path });
  const said: NodeSnapshot[] = [];
  const busy = {
    totals: node.totals,
    store: {
      stats: () => {
        throw new MeshError("store.unwritable", "busy");
      },
      claims: node.store.claims,
    },
  } as unknown as MeshNode;
  const peers = { publish: (snapshot: NodeSnapshot) => void said.push(snapshot) };
  using _ = new SnapshotPublisher({ node: busy, peers, home: folder.path, gpus: [], draining: false });
  expect(said).toEqual([]);
});
