import { describe, expect, spyOn, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { type Digest, digestOf } from "../../../src/base/digest.ts";
import { LIMITS } from "../../../src/base/limits.ts";
import type { ContentRef } from "../../../src/mesh/content.ts";
import { CONTENT } from "../../../src/mesh/content-messages.ts";
import type { StreamHandler } from "../../../src/mesh/peers.ts";
import { streamFrom } from "../../../src/mesh/stream-from.ts";
import { DIGEST_BYTES } from "../../../src/store/chunks.ts";
import { Store } from "../../../src/store/io/store.ts";
import { MeshContent } from "../../../src/mesh/io/content-exchange.ts";
import { testIf } from "../../support/require.ts";
import { ContentMesh, type Machine, noise } from "./content-fixture.ts";

const MIB = 1 << 20;
const LARGE = noise(8 * MIB + 100, 3);
const OTHER = noise(8 * MIB + 100, 4);

/** Makes a machine answer a stream in another way than it would. */
function lie(machine: Machine, method: string, handler: StreamHandler): void {
  machine.peers.onStream(method, handler);
}

async function* bytesOf(...pieces: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* pieces;
}

async function* endless(): AsyncIterable<Uint8Array> {
  for (;;) {
    yield new Uint8Array(65_536).fill(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A list of chunks of some bytes, as `join` answers it. */
function listOf(bytes: Uint8Array): unknown {
  const count = Math.ceil(bytes.length / LIMITS.chunkBytes);
  const digests = new Uint8Array(count * DIGEST_BYTES);
  for (let at = 0; at < count; at++) {
    const chunk = bytes.subarray(at * LIMITS.chunkBytes, (at + 1) * LIMITS.chunkBytes);
    digests.set(Bun.SHA256.hash(chunk) as Uint8Array, at * DIGEST_BYTES);
  }
  return {
    isWhole: true,
    have: new Uint8Array(0),
    swarm: [],
    sizeBytes: bytes.length,
    digests,
    seconds: 0,
    nanoseconds: 0,
  };
}

/** Serves other bytes, consistently, under a digest that is not theirs. */
function serveInstead(machine: Machine, bytes: Uint8Array): void {
  machine.peers.onCall(CONTENT.join, () => listOf(bytes));
  lie(machine, CONTENT.chunk, (params) => {
    const { index } = params as { index: number };
    return bytesOf(bytes.subarray(index * LIMITS.chunkBytes, (index + 1) * LIMITS.chunkBytes));
  });
}

async function clean({ store }: Machine): Promise<boolean> {
  await store.settled();
  return readdirSync(store.paths.tmp).length === 0;
}

function partials({ store }: Machine): readonly string[] {
  try {
    return readdirSync(store.paths.partial);
  } catch {
    return [];
  }
}

const SMALL_LIES: Readonly<Record<string, StreamHandler>> = {
  "other bytes": () => bytesOf(Uint8Array.of(1, 5, 0, 0, 0, ...new Uint8Array(12)), Buffer.from("HELLO")),
  "another size": () => bytesOf(Uint8Array.of(1, 6, 0, 0, 0, ...new Uint8Array(12)), Buffer.from("HELLO!")),
  "a truncated file": () => bytesOf(Uint8Array.of(1, 5, 0, 0, 0, ...new Uint8Array(12)), Buffer.from("HEL")),
  "nothing at all": () => bytesOf(),
  "no known state": () => bytesOf(Uint8Array.of(9)),
  "more than was asked for": () => bytesOf(Uint8Array.of(0, 0, 0)),
  "an endless stream": () => endless(),
};

const LARGE_LIES: Readonly<Record<string, StreamHandler>> = {
  "other bytes": () => bytesOf(new Uint8Array(LIMITS.chunkBytes)),
  "a truncated chunk": () => bytesOf(LARGE.subarray(0, 1000)),
  "a chunk that is too long": () => bytesOf(LARGE),
  "an endless stream": () => endless(),
};

describe("MeshContent.fetch() from machines that lie", () => {
  for (const [what, handler] of Object.entries(SMALL_LIES)) {
    test(`fetch() takes a small blob from another machine after ${what}, and names the liar`, async () => {
      await using mesh = new ContentMesh();
      const [liar, honest, here] = [mesh.add("liar"), mesh.add("honest"), mesh.add("here")];
      const digest = honest.store.blobs.put(Buffer.from("hello"));
      liar.store.blobs.put(Buffer.from("hello"));
      lie(liar, CONTENT.blobs, handler);
      const report = await here.content.fetch([{ kind: "blob", digest }], { holders: [liar.id, honest.id] });
      expect(Buffer.from(here.store.blobs.read(digest)).toString()).toBe("hello");
      const isFound = what !== "more than was asked for";
      expect(report.liars).toEqual(isFound ? [liar.id] : report.liars);
      if (isFound) expect(here.content.lies.get(liar.id)).toBe(1);
    });
  }

  for (const [what, handler] of Object.entries(LARGE_LIES)) {
    test(`fetch() takes a large blob from another machine after ${what}, and names the liar`, async () => {
      await using mesh = new ContentMesh();
      const [liar, honest, here] = [mesh.add("liar"), mesh.add("honest"), mesh.add("here")];
      const digest = honest.store.blobs.put(LARGE);
      liar.store.blobs.put(LARGE);
      lie(liar, CONTENT.chunk, handler);
      const report = await here.content.fetch([{ kind: "blob", digest }]);
      expect(report.liars).toEqual([liar.id]);
      expect(here.store.blobs.verify(digest)).toBe(true);
    });
  }

  test("fetch() finds who lied about the list of chunks, whichever list it took first", async () => {
    await using mesh = new ContentMesh();
    const [liar, honest, here] = [mesh.add("liar"), mesh.add("honest"), mesh.add("here")];
    const digest = honest.store.blobs.put(LARGE);
    liar.store.blobs.put(LARGE);
    serveInstead(liar, OTHER);
    for (const holders of [
      [liar.id, honest.id],
      [honest.id, liar.id],
    ]) {
      const report = await here.content.fetch([{ kind: "blob", digest }], { holders });
      expect(report.liars).toEqual([liar.id]);
      expect(here.store.blobs.verify(digest)).toBe(true);
      here.store.blobs.drop(digest);
    }
  });

  test("fetch() outlives a majority of liars, and fails when nobody else is there", async () => {
    await using mesh = new ContentMesh();
    const liars = ["l1", "l2", "l3"].map((name) => mesh.add(name));
    const [honest, here] = [mesh.add("honest"), mesh.add("here")];
    const digest = honest.store.blobs.put(LARGE);
    for (const liar of liars) {
      liar.store.blobs.put(LARGE);
      serveInstead(liar, OTHER);
    }
    const wanted: readonly ContentRef[] = [{ kind: "blob", digest }];
    expect((await here.content.fetch(wanted)).liars).toEqual(liars.map(({ id }) => id).toSorted());
    here.store.blobs.drop(digest);
    mesh.hub.kill(honest.id);
    expect(here.content.fetch(wanted)).rejects.toMatchObject({ code: "blob.missing" });
  });

  for (const [what, handler] of Object.entries(SMALL_LIES)) {
    test(`fetch() takes a layer's files from another machine after ${what}`, async () => {
      await using mesh = new ContentMesh();
      const [liar, honest, here] = [mesh.add("liar"), mesh.add("honest"), mesh.add("here")];
      const files = { "workspace/a": "hello" };
      const { digest } = await mesh.commit(honest, files);
      await mesh.commit(liar, files);
      lie(liar, CONTENT.files, handler);
      await here.content.fetch([{ kind: "layer", digest }], { holders: [liar.id, honest.id] });
      expect(await here.store.layers.verify(digest)).toBe(true);
      expect(await clean(here)).toBe(true);
    });
  }

  test("fetchTrees() takes the tree from another machine when it is none, another one, or endless", async () => {
    for (const handler of [() => bytesOf(Buffer.from("no tree")), () => bytesOf(), () => endless()]) {
      await using mesh = new ContentMesh();
      const [liar, honest, here] = [mesh.add("liar"), mesh.add("honest"), mesh.add("here")];
      const { digest } = await mesh.commit(honest, { "workspace/a": "hello" });
      lie(liar, CONTENT.tree, handler);
      const stop = AbortSignal.timeout(3_000);
      const holders = handler().toString() === "" ? [] : [liar.id, honest.id];
      await here.content.fetchTrees([digest], { holders, signal: stop }).catch(() => {});
      expect(here.store.layers.has(digest)).toBe(false);
    }
  });
});

describe("MeshContent.fetch() when machines and links go", () => {
  test("fetch() goes on with another machine wherever the first one vanishes", async () => {
    for (const served of [0, 1, 5, 9]) {
      await using mesh = new ContentMesh();
      const [going, staying, here] = [mesh.add("going"), mesh.add("staying"), mesh.add("here")];
      const digest = going.store.blobs.put(LARGE);
      staying.store.blobs.put(LARGE);
      let pieces = 0;
      lie(going, CONTENT.chunk, async function* (params) {
        const { index } = params as { index: number };
        const chunk = LARGE.subarray(index * LIMITS.chunkBytes, (index + 1) * LIMITS.chunkBytes);
        for (let at = 0; at < chunk.length; at += MIB / 2) {
          if (pieces++ === served) mesh.hub.kill(going.id);
          yield chunk.subarray(at, at + MIB / 2);
        }
      });
      const report = await here.content.fetch([{ kind: "blob", digest }]);
      expect(report.liars).toEqual([]);
      expect(here.store.blobs.verify(digest)).toBe(true);
    }
  });

  test("fetch() takes pieces again from a machine that was away and is back, while another one serves", async () => {
    await using mesh = new ContentMesh();
    const [away, staying, here] = [mesh.add("away"), mesh.add("staying"), mesh.add("here")];
    const digest = away.store.blobs.put(LARGE);
    staying.store.blobs.put(LARGE);
    const [begun, back] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let isBack = false;
    const serve = (begin: () => void): StreamHandler =>
      async function* (params) {
        begin();
        await back.promise;
        const { index } = params as { index: number };
        yield LARGE.subarray(index * LIMITS.chunkBytes, (index + 1) * LIMITS.chunkBytes);
      };
    lie(
      away,
      CONTENT.chunk,
      serve(() => (isBack ? back : begun).resolve()),
    );
    lie(
      staying,
      CONTENT.chunk,
      serve(() => {}),
    );
    const fetching = here.content.fetch([{ kind: "blob", digest }]);
    await begun.promise;
    mesh.hub.cut(away.id, here.id);
    isBack = true;
    mesh.hub.heal(away.id, here.id);
    expect(await fetching).toEqual({ receivedBytes: LARGE.length, reusedBytes: 0, liars: [] });
  });

  test("fetch() fails when the only machine vanishes, and goes on where it stopped when that is back", async () => {
    await using mesh = new ContentMesh();
    const [source, here] = [mesh.add("source"), mesh.add("here")];
    const digest = source.store.blobs.put(LARGE);
    let chunks = 0;
    const honest = (params: unknown): AsyncIterable<Uint8Array> => {
      const { index } = params as { index: number };
      return bytesOf(LARGE.subarray(index * LIMITS.chunkBytes, (index + 1) * LIMITS.chunkBytes));
    };
    lie(source, CONTENT.chunk, (params) => {
      if (++chunks === LIMITS.piecesPerPeer + 2) mesh.hub.cut(source.id, here.id);
      return honest(params);
    });
    const wanted: readonly ContentRef[] = [{ kind: "blob", digest }];
    expect(await here.content.fetch(wanted).catch((error: unknown) => error)).toMatchObject({ code: "blob.missing" });
    expect(here.store.blobs.has(digest)).toBe(false);
    expect(partials(here).length).toBe(2);
    mesh.hub.heal(source.id, here.id);
    const report = await here.content.fetch(wanted);
    expect(report.reusedBytes).toBeGreaterThan(0);
    expect(report.receivedBytes + report.reusedBytes).toBe(LARGE.length);
    expect(here.store.blobs.verify(digest)).toBe(true);
    expect(partials(here)).toEqual([]);
  });

  test("fetch() that is cancelled leaves nothing half-made, and what is verified is not fetched again", async () => {
    await using mesh = new ContentMesh();
    const [source, here] = [mesh.add("source"), mesh.add("here")];
    const digest = source.store.blobs.put(LARGE);
    const layer = await mesh.commit(source, { "workspace/a": "hello" });
    const stop = new AbortController();
    const refs: readonly ContentRef[] = [
      { kind: "blob", digest },
      { kind: "layer", digest: layer.digest },
    ];
    const fetching = here.content.fetch(refs, {
      signal: stop.signal,
      onProgress: (done) => {
        if (done > LIMITS.chunkBytes) stop.abort(new DOMException("Enough", "AbortError"));
      },
    });
    expect(await fetching.catch((error: unknown) => error)).toMatchObject({ name: "AbortError" });
    expect(here.store.blobs.has(digest)).toBe(false);
    const report = await here.content.fetch(refs);
    expect(report.reusedBytes).toBeGreaterThan(0);
    expect(await here.store.layers.verify(layer.digest)).toBe(true);
    expect(here.store.blobs.verify(digest)).toBe(true);
    expect(await clean(here)).toBe(true);
  });

  test("fetch() of the same content twice at once brings it once, and goes on when one gives up", async () => {
    await using mesh = new ContentMesh();
    const [source, here] = [mesh.add("source"), mesh.add("here")];
    const digest = source.store.blobs.put(LARGE);
    const stop = new AbortController();
    const wanted: readonly ContentRef[] = [{ kind: "blob", digest }];
    const first = here.content.fetch(wanted, { signal: stop.signal, onProgress: () => stop.abort() });
    const second = here.content.fetch(wanted);
    expect(await first.catch((error: unknown) => error)).toMatchObject({ name: "AbortError" });
    expect(await second).toEqual({ receivedBytes: LARGE.length, reusedBytes: 0, liars: [] });
  });
});

describe("MeshContent.fetch() and room", () => {
  test("fetch() writes nothing that the store may not hold", async () => {
    await using mesh = new ContentMesh();
    const [source, here] = [mesh.add("source"), mesh.add("here")];
    const digest = source.store.blobs.put(LARGE);
    const layer = await mesh.commit(source, { "workspace/a": "x".repeat(100_000) });
    here.store.room.limitBytes = 50_000;
    for (const ref of [{ kind: "blob", digest } as const, { kind: "layer", digest: layer.digest } as const]) {
      expect(await here.content.fetch([ref]).catch((error: unknown) => error)).toMatchObject({ code: "store.full" });
    }
    expect(await clean(here)).toBe(true);
    here.store.room.limitBytes = null;
    expect((await here.content.fetch([{ kind: "blob", digest }])).receivedBytes).toBe(LARGE.length);
  });

  testIf("mount", "fetch() onto a disk that fills up says so and cleans up after itself", async () => {
    await using mesh = new ContentMesh();
    const source = mesh.add("source");
    const small = mesh.folder.join("small");
    mkdirSync(small);
    const mount = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", small]);
    expect(mount.exitCode).toBe(0);
    try {
      const peers = mesh.hub.add("here");
      using store = Store.open(`${small}/home`);
      const content = new MeshContent({ store, peers, searchMs: 200 });
      const digests: Digest[] = [];
      for (let at = 0; at < 12; at++) digests.push(source.store.blobs.put(noise(2 * MIB, at + 1)));
      const wanted = digests.map((digest) => ({ kind: "blob", digest }) as const);
      expect(await content.fetch(wanted).catch((error: unknown) => error)).toMatchObject({ code: "store.full" });
      await store.settled();
      expect(readdirSync(store.paths.tmp)).toEqual([]);
      expect(digests.filter((digest) => store.blobs.has(digest)).every((digest) => store.blobs.verify(digest))).toBe(
        true,
      );
    } finally {
      Bun.spawnSync(["umount", "-l", small]);
    }
  });

  test("fetch() of a layer goes on when what it reuses is pruned meanwhile", async () => {
    await using mesh = new ContentMesh();
    const [source, here] = [mesh.add("source"), mesh.add("here")];
    const old = { "workspace/kept": "kept".repeat(50) };
    const before = await mesh.commit(here, old);
    const layer = await mesh.commit(source, { ...old, "workspace/new": "new" });
    await here.store.places.refresh();
    here.store.layers.drop(before.digest);
    await here.content.fetch([{ kind: "layer", digest: layer.digest }]);
    expect(await here.store.layers.verify(layer.digest)).toBe(true);
  });
});

describe("many machines", () => {
  test("fetch() by seven machines at once loads the source with less than three times the content", async () => {
    await using mesh = new ContentMesh();
    const source = mesh.add("source");
    const bytes = noise(20 * MIB, 8);
    const digest = source.store.blobs.put(bytes);
    let served = 0;
    source.peers.onStream(CONTENT.chunk, async function* (params) {
      const { index } = params as { index: number };
      served++;
      // A line that is slower than all others: the receivers have time to help each other.
      await Bun.sleep(60);
      yield bytes.subarray(index * LIMITS.chunkBytes, (index + 1) * LIMITS.chunkBytes);
    });
    const receivers = Array.from({ length: 7 }, (_, at) => mesh.add(`r${at}`));
    await Promise.all(receivers.map((receiver) => receiver.content.fetch([{ kind: "blob", digest }])));
    for (const receiver of receivers) expect(receiver.store.blobs.verify(digest)).toBe(true);
    expect(served).toBeLessThan((3 * bytes.length) / LIMITS.chunkBytes);
  });

  test("fetch() takes from a machine what that has so far, and the rest as it comes", async () => {
    await using mesh = new ContentMesh();
    const [source, middle, last] = [mesh.add("source"), mesh.add("middle"), mesh.add("last")];
    mesh.hub.cut(source.id, last.id);
    const words = spyOn(middle.peers, "tell");
    const digest = source.store.blobs.put(LARGE);
    const gate = Promise.withResolvers<void>();
    const gated = Promise.withResolvers<void>();
    let chunks = 0;
    source.peers.onStream(CONTENT.chunk, async function* (params) {
      const { index } = params as { index: number };
      if (++chunks > 2) {
        gated.resolve();
        await gate.promise;
      }
      yield LARGE.subarray(index * LIMITS.chunkBytes, (index + 1) * LIMITS.chunkBytes);
    });
    const wanted: readonly ContentRef[] = [{ kind: "blob", digest }];
    const first = middle.content.fetch(wanted);
    const arrived = Promise.withResolvers<void>();
    await gated.promise;
    const second = last.content.fetch(wanted, { onProgress: () => arrived.resolve() });
    await arrived.promise;
    expect(middle.store.blobs.has(digest)).toBe(false);
    gate.resolve();
    await Promise.all([first, second]);
    expect(last.store.blobs.verify(digest)).toBe(true);
    // What arrived is told on a lane where no bulk data is in the way.
    expect(words).toHaveBeenCalled();
    for (const [, , , lane] of words.mock.calls) expect(lane ?? "control").toBe("control");
  });

  test("fetch() of a layer by several machines at once gives each the layer", async () => {
    await using mesh = new ContentMesh();
    const source = mesh.add("source");
    const files = Object.fromEntries(
      Array.from({ length: 600 }, (_, at) => [`workspace/d${at % 7}/f${at}`, `${at} `.repeat(1 + (at % 90))]),
    );
    const { digest } = await mesh.commit(source, files);
    const receivers = Array.from({ length: 4 }, (_, at) => mesh.add(`r${at}`));
    await Promise.all(receivers.map((receiver) => receiver.content.fetch([{ kind: "layer", digest }])));
    for (const receiver of receivers) expect(await receiver.store.layers.verify(digest)).toBe(true);
  });
});

describe("what a machine serves", () => {
  test("a request that is none, or for what is not there, is refused", async () => {
    await using mesh = new ContentMesh();
    const [source, here] = [mesh.add("source"), mesh.add("here")];
    const { digest } = await mesh.commit(source, { "workspace/a": "hello" });
    const options = { timeoutMs: 1_000 };
    const code = async (work: Promise<unknown>): Promise<unknown> =>
      await work.then(
        () => "served",
        (error: unknown) => (error as { code?: string }).code,
      );
    const drain = async (method: string, params: unknown): Promise<unknown> => {
      let bytes = 0;
      for await (const piece of streamFrom(here.peers, source.id, { method, params }, options)) bytes += piece.length;
      return bytes;
    };
    const path = { digest: "../../etc/passwd" };
    for (const params of [null, 1, {}, { refs: "x" }, { refs: [path] }, { refs: Array.from({ length: 5_000 }) }])
      expect(await code(here.peers.call(source.id, CONTENT.locate, params, options))).toBe("peer.misbehaved");
    for (const method of [CONTENT.tree, CONTENT.files, CONTENT.blobs, CONTENT.chunk])
      for (const params of [null, path, { ...path, layer: path, entries: "x" }])
        expect(await code(drain(method, params))).toBe("peer.misbehaved");
    const nothing = digestOf("nothing");
    expect(await code(drain(CONTENT.tree, { digest: nothing }))).toBe("blob.missing");
    expect(await code(drain(CONTENT.files, { layer: nothing, entries: new Uint8Array(4) }))).toBe("blob.missing");
    const chunk = { of: { kind: "file", digest: nothing, layer: digest, entry: 0 }, index: 0 };
    expect(await code(drain(CONTENT.chunk, chunk))).toBe("blob.missing");
    // A position that is a directory, or none at all, is absent: one byte each.
    expect(await drain(CONTENT.files, { layer: digest, entries: Uint8Array.of(0, 0, 0, 0, 99, 0, 0, 0) })).toBe(2);
  });
});
