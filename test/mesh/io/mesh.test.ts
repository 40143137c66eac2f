import { afterEach, describe, expect, setSystemTime, test } from "bun:test";
import { MeshError } from "../../../src/base/errors.ts";
import type { PeerId } from "../../../src/base/ids.ts";
import { type Mesh, openMesh } from "../../../src/mesh/io/mesh.ts";
import type { PeerChange } from "../../../src/mesh/peers.ts";
import { makeMeshHomes } from "../../support/mesh-homes.ts";
import { temporaryFolder, type TemporaryFolder } from "../../support/temporary.ts";

/** Machines of one mesh in this process, over loopback. */
class Machines implements AsyncDisposable {
  readonly #folder: TemporaryFolder = temporaryFolder();
  readonly #open = new Map<string, Mesh>();
  readonly notices: string[] = [];

  /** `memberUntilMs`: when the grant of the last one ends; never when absent. */
  constructor(names: readonly string[], memberUntilMs?: number) {
    const ends = (name: string) => (name === names.at(-1) && memberUntilMs !== undefined ? { memberUntilMs } : {});
    makeMeshHomes(names.map((name) => ({ folder: this.folderOf(name), name, ...ends(name) })));
  }

  folderOf(name: string): string {
    return this.#folder.join(name);
  }

  async open(name: string): Promise<Mesh> {
    const mesh = await openMesh({
      folder: this.folderOf(name),
      version: "1.0.0",
      port: 0,
      multicast: false,
      onNotice: ({ error }) => this.notices.push(`${name}: ${error.code}`),
    });
    this.#open.set(name, mesh);
    return mesh;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const mesh of this.#open.values()) await mesh[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/** Waits until a machine says so of another one. */
async function until(mesh: Mesh, peer: PeerId, state: string): Promise<void> {
  if (mesh.get(peer)?.state === state) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  using _ = mesh.watch(() => {
    if (mesh.get(peer)?.state === state) resolve();
  });
  await promise;
}

async function reach(from: Mesh, to: Mesh): Promise<void> {
  await from.reach({ host: "127.0.0.1", port: to.port ?? 0 });
  await Promise.all([until(from, to.self, "up"), until(to, from.self, "up")]);
}

describe("openMesh()", () => {
  test("connects machines that call each other, and shows each what the other says of itself", async () => {
    await using machines = new Machines(["a", "b"]);
    const [a, b] = [await machines.open("a"), await machines.open("b")];
    b.onCall("echo", (params, { name }) => ({ params, name }));
    await reach(a, b);
    expect(await a.call(b.self, "echo", 7, { timeoutMs: 1_000 })).toEqual({ params: 7, name: "a" });
    expect(a.list().map(({ name, state, foundBy }) => [name, state, foundBy])).toEqual([
      ["a", "self", null],
      ["b", "up", "given"],
    ]);
    expect(b.get(a.self)).toMatchObject({ state: "up", version: "1.0.0", roles: ["admin", "submitter", "worker"] });
  });

  test("finds a third machine by what the second tells, and remembers it for the next start", async () => {
    await using machines = new Machines(["a", "b", "c"]);
    const [a, b, c] = [await machines.open("a"), await machines.open("b"), await machines.open("c")];
    await reach(a, b);
    await reach(c, b);
    await until(a, c.self, "up");
    await a[Symbol.asyncDispose]();
    await b[Symbol.asyncDispose]();
    const again = await machines.open("a");
    await until(again, c.self, "up");
    expect(again.get(c.self)?.foundBy).toBe("remembered");
  });

  test("refuses a second process of the same home", async () => {
    await using machines = new Machines(["a"]);
    await machines.open("a");
    const error = await machines.open("a").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(MeshError);
    expect((error as MeshError).code).toBe("node.already-running");
    expect((error as MeshError).message).toContain(String(process.pid));
  });

  test("refuses a home without a mesh", async () => {
    using folder = temporaryFolder();
    const opening = openMesh({ folder: folder.join("mesh"), version: "1", port: null, multicast: false });
    expect((await opening.catch((error: unknown) => error)) as MeshError).toMatchObject({ code: "mesh.not-a-member" });
  });

  test("a member for a short time listens nowhere and reaches others all the same", async () => {
    await using machines = new Machines(["a", "b"]);
    const a = await machines.open("a");
    const { port } = a;
    await using b = await openMesh({ folder: machines.folderOf("b"), version: "1", port: null, multicast: false });
    expect(b.port).toBeNull();
    await b.reach({ host: "127.0.0.1", port: port ?? 0 });
    await Promise.all([until(a, b.self, "up"), until(b, a.self, "up")]);
    expect(a.get(b.self)?.addresses).toEqual([]);
  });
});

describe("a grant that ends by itself", () => {
  const HOUR_MS = 3_600_000;
  afterEach(() => void setSystemTime());

  test("lets nobody in at the handshake once it has ended", async () => {
    await using machines = new Machines(["a", "b"], Date.now() - 1);
    const [a, b] = [await machines.open("a"), await machines.open("b")];
    const error = await b.reach({ host: "127.0.0.1", port: a.port ?? 0 }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "peer.refused" });
    expect(a.get(b.self)).toMatchObject({ state: "revoked", memberUntilMs: expect.any(Number) as number });
    expect(machines.notices).toContain("b: mesh.revoked");
  });

  test("ends in the middle: what its machine asks for from then on is refused, and its connection goes", async () => {
    const endsAtMs = Date.now() + HOUR_MS;
    await using machines = new Machines(["a", "b"], endsAtMs);
    const [a, b] = [await machines.open("a"), await machines.open("b")];
    a.onCall("echo", (params) => params);
    await reach(a, b);
    expect(a.get(b.self)?.memberUntilMs).toBe(endsAtMs);
    expect(a.get(a.self)?.memberUntilMs).toBeUndefined();
    expect(await b.call(a.self, "echo", 1, { timeoutMs: 1_000 })).toBe(1);
    setSystemTime(endsAtMs);
    const refused = await b.call(a.self, "echo", 2, { timeoutMs: 1_000 }).catch((thrown: unknown) => thrown);
    expect(refused).toMatchObject({ code: "peer.refused" });
    await until(a, b.self, "revoked");
    expect(a.get(b.self)?.reason).toContain("expired");
  });
});

describe("Mesh.revoke()", () => {
  test("is in force on all who are connected in less than 2 s, and the machine learns it", async () => {
    await using machines = new Machines(["a", "b", "c"]);
    const [a, b, c] = [await machines.open("a"), await machines.open("b"), await machines.open("c")];
    await reach(a, b);
    await reach(a, c);
    await until(b, c.self, "up");
    const startMs = performance.now();
    a.revoke(c.self);
    await Promise.all([until(a, c.self, "revoked"), until(b, c.self, "revoked"), until(c, c.self, "revoked")]);
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(machines.notices).toContain("c: mesh.revoked");
    const call = a.call(c.self, "roster.sync", null, { timeoutMs: 1_000 });
    expect(await call.catch((error: unknown) => error)).toMatchObject({ code: "peer.unreachable" });
  });

  test("is refused to a machine that is no admin", async () => {
    await using machines = new Machines(["a", "b"]);
    const [a, b] = [await machines.open("a"), await machines.open("b")];
    expect(() => b.revoke(a.self)).toThrow(expect.objectContaining({ code: "mesh.not-allowed" }));
  });

  test("is told to a machine that was away, at the first contact, also by one that it is about", async () => {
    await using machines = new Machines(["a", "b", "c"]);
    const [a, c] = [await machines.open("a"), await machines.open("c")];
    a.revoke(c.self);
    const b = await machines.open("b");
    await reach(b, a);
    await until(b, c.self, "revoked");
    const refused = await c.reach({ host: "127.0.0.1", port: b.port ?? 0 }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "peer.refused" });
  });
});

test("Mesh.leave() tells the others and forgets the mesh", async () => {
  await using machines = new Machines(["a", "b"]);
  const [a, b] = [await machines.open("a"), await machines.open("b")];
  await reach(a, b);
  const changes: PeerChange["kind"][] = [];
  using _ = a.watch(({ kind }) => changes.push(kind));
  expect(await b.leave()).toBe(1);
  await until(a, b.self, "revoked");
  expect(changes).toContain("roster");
  const again = await machines.open("b").catch((error: unknown) => error);
  expect(again).toMatchObject({ code: "mesh.not-a-member" });
});
