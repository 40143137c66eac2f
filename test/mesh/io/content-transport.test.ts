// Blobs and layers over TLS on loopback: what the mesh in memory can't show.

import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { MeshContent } from "../../../src/mesh/io/content-exchange.ts";
import { Store } from "../../../src/store/io/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { identityNamed } from "../../support/test-mesh.ts";
import { writeFiles } from "../../store/support.ts";
import { noise } from "./content-fixture.ts";
import { LinkedPeers } from "./linked-peers.ts";

test("fetch() brings blobs and layers over connections, from two machines", async () => {
  using folder = temporaryFolder();
  const identities = ["a", "b", "c"].map((name) => identityNamed(name));
  const members = identities.map(({ id }, at) => ({ id, name: `m${at}`, address: { host: "127.0.0.1", port: 0 } }));
  const machines = identities.map((identity, at) => {
    const peers = new LinkedPeers(identity, members);
    const store = Store.open(folder.join(`home-${at}`));
    const address = members[at]?.address;
    if (address) address.port = peers.links.listen({ hostname: "127.0.0.1", port: 0 });
    return { peers, store, content: new MeshContent({ store, peers }) };
  });
  const [a, b, c] = machines;
  if (!a || !b || !c) throw new Error("three machines are needed");
  try {
    for (const { peers } of machines) await peers.connect();
    const bytes = noise((8 << 20) + 3, 5);
    const blob = a.store.blobs.put(bytes);
    b.store.blobs.put(bytes);
    const small = a.store.blobs.put(Buffer.from("small"));
    const upper = `${a.store.paths.scratch}/upper`;
    mkdirSync(upper);
    const files: Record<string, string> = {};
    for (let at = 0; at < 2_500; at++) files[`workspace/d${at % 9}/f${at}`] = `text ${at}`.repeat(at % 50);
    writeFiles(upper, files);
    const layer = await a.store.layers.commit({ upper, maskedDirectories: new Set() });
    const report = await c.content.fetch([
      { kind: "blob", digest: blob },
      { kind: "blob", digest: small },
      { kind: "layer", digest: layer.digest },
    ]);
    expect(report.liars).toEqual([]);
    expect(c.store.blobs.verify(blob) && c.store.blobs.verify(small)).toBe(true);
    expect(await c.store.layers.verify(layer.digest)).toBe(true);
  } finally {
    for (const { peers, store } of machines) {
      await peers[Symbol.asyncDispose]();
      store[Symbol.dispose]();
    }
  }
}, 30_000);
