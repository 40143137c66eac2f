// The node's socket and its client together, over a real unix socket.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { MeshError } from "../../src/base/errors.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { ActiveRuns } from "../../src/node/active-runs.ts";
import { type ApiNode, localApi } from "../../src/node/local-api.ts";
import { LocalClient } from "../../src/node/local-client.ts";
import type { NodeStatus } from "../../src/node/node-service.ts";
import type { RunObserver } from "../../src/node/observer.ts";
import { meshFolder, openSocketPath } from "../../src/node/socket-path.ts";
import { FakeRuns, SUBMISSION } from "../fake/node-runs.ts";
import { temporaryFolder } from "../support/temporary.ts";

const STATUS = { name: "desk", pid: 42 } as NodeStatus;
const NEVER = new AbortController().signal;

/** A node behind a socket; what it is not told to answer, it cannot do. */
function serve(home: string, answers: Partial<ApiNode> = {}, fake = new FakeRuns()) {
  const stack = new DisposableStack();
  mkdirSync(meshFolder(home), { recursive: true });
  const socket = stack.use(openSocketPath(home));
  const runs = new ActiveRuns(fake);
  const node = { status: () => Promise.resolve(STATUS), runs, ...answers } as ApiNode;
  const server = Bun.serve({
    unix: socket.path,
    maxRequestBodySize: LIMITS.apiRequestBytes,
    fetch: localApi(node).fetch,
  });
  stack.defer(() => void server.stop(true));
  return { runs, fake, path: socket.path, [Symbol.dispose]: () => stack.dispose() };
}

async function clientOf(home: string): Promise<LocalClient> {
  const client = await LocalClient.find(home);
  if (client === null) throw new Error("no node");
  return client;
}

async function errorOf(promise: Promise<unknown>): Promise<MeshError> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof MeshError) return error;
  throw new Error(`It did not fail as it should: ${String(error)}`);
}

/** An observer, and the moment its run began. */
function watching(): { readonly observer: RunObserver; readonly begun: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { observer: { event: ({ kind }) => kind === "run-started" && resolve() }, begun: promise };
}

describe("LocalClient and localApi()", () => {
  test("wait for a node that is being killed: it takes connections until its sockets are closed", async () => {
    using folder = temporaryFolder();
    const home = folder.join("home");
    mkdirSync(meshFolder(home), { recursive: true });
    using socket = openSocketPath(home);
    let dropped = 0;
    const dying = createServer((connection) => {
      connection.destroy();
      if (++dropped === 3) dying.close();
    });
    await new Promise<void>((resolve) => void dying.listen(socket.path, resolve));
    expect(await LocalClient.find(home)).toBeNull();
    expect(dropped).toBe(3);
  });

  test("find each other, also by a path that is too long for a socket", async () => {
    using folder = temporaryFolder();
    const long = folder.join("a".repeat(120), "home");
    for (const home of [folder.join("home"), long]) {
      expect(await LocalClient.find(home)).toBeNull();
      using _node = serve(home);
      using client = await clientOf(home);
      expect(await client.status()).toEqual(STATUS);
    }
  });

  test("a socket that a killed node left is no node", async () => {
    using folder = temporaryFolder();
    mkdirSync(meshFolder(folder.path), { recursive: true });
    const { path } = openSocketPath(folder.path);
    const program = `Bun.listen({ unix: ${JSON.stringify(path)}, socket: { data() {} } }); process.kill(process.pid, "SIGKILL")`;
    await Bun.spawn([process.execPath, "-e", program]).exited;
    expect(existsSync(path)).toBe(true);
    expect(await LocalClient.find(folder.path)).toBeNull();
  });

  test("a failure crosses with its code, message and hint", async () => {
    using folder = temporaryFolder();
    const failure = new MeshError("peer.not-found", "Cannot find machine x", { hint: "Look." });
    using _node = serve(folder.path, {
      revoke: () => Promise.reject(failure),
      drain: () => Promise.reject(new TypeError("a bug")),
    });
    using client = await clientOf(folder.path);
    expect((await errorOf(client.revoke("a/b ?"))).toJSON()).toEqual(failure.toJSON());
    expect((await errorOf(client.drain(null, true))).code).toBe("node.failed");
  });

  test("what is no request is refused, whatever its size", async () => {
    using folder = temporaryFolder();
    using node = serve(folder.path);
    using client = await clientOf(folder.path);
    const codes = [
      await errorOf(client.ping("x", 0, NEVER)),
      await errorOf(client.ping("x", 1e9, NEVER)),
      await errorOf(client.invite({ roles: ["boss" as never], ttlMs: 1, memberForMs: null })),
      await errorOf(client.fetch([null as never], NEVER)),
      await errorOf(client.locate([{ kind: "blob", digest: "sha256:no" as never }])),
      await errorOf(client.submit({ ...SUBMISSION, backend: "no" as never })),
    ].map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set(["usage.invalid"]));
    const post = async (path: string, body: string) =>
      (await fetch(`http://node${path}`, { unix: node.path, method: "POST", body })).status;
    expect(await post("/v1/drain", "[]")).toBe(400);
    expect(await post("/v1/drain", "x".repeat(LIMITS.apiRequestBytes + 1))).toBe(413);
    expect(await post("/v1/of-the-future", "{}")).toBe(426);
  });

  test("a run is watched to its end, and stopped by its client's signals", async () => {
    using folder = temporaryFolder();
    using node = serve(folder.path, {
      cancelRun: (run, force) => Promise.resolve(node.runs.cancel(run, force) ?? Promise.reject(new Error("none"))),
    });
    using client = await clientOf(folder.path);
    const cancel = new AbortController();
    const { observer, begun } = watching();
    const over = client.run({ ...SUBMISSION, observer, signal: cancel.signal, killSignal: NEVER });
    await begun;
    cancel.abort();
    expect(await over).toMatchObject({ summary: { status: { execution: "aborted" } } });
  });

  test("a signal between submitting and beginning stops the run", async () => {
    using folder = temporaryFolder();
    const fake = new FakeRuns({ begins: false });
    using node = serve(
      folder.path,
      { cancelRun: (run, force) => Promise.resolve(node.runs.cancel(run, force)!) },
      fake,
    );
    using client = await clientOf(folder.path);
    const cancel = new AbortController();
    const over = client.run({ ...SUBMISSION, observer: {}, signal: cancel.signal, killSignal: NEVER });
    await until(() => fake.runs.length === 1);
    cancel.abort();
    fake.runs[0]?.begin();
    expect(await over).toMatchObject({ summary: { status: { execution: "aborted" } } });
  });

  test("a client that dies takes its run with it; one that submitted does not", async () => {
    using folder = temporaryFolder();
    using node = serve(folder.path);
    using client = await clientOf(folder.path);
    const submitted = await client.submit(SUBMISSION);
    expect(submitted).toMatchObject({ kind: "submitted" });
    const gone = new AbortController();
    const response = await fetch("http://node/v1/runs", {
      unix: node.path,
      method: "POST",
      body: JSON.stringify(SUBMISSION),
      signal: gone.signal,
    });
    await response.body?.getReader().read();
    gone.abort();
    await until(() => node.runs.list().length === 1);
    expect(node.runs.list().map(({ id }) => id)).toEqual([(submitted as { id: string }).id]);
  });

  test("one that watches and leaves leaves the run alone", async () => {
    using folder = temporaryFolder();
    using node = serve(folder.path, { feedOf: (run, signal) => node.runs.feed(run)!.read(signal) });
    using client = await clientOf(folder.path);
    const { id } = (await client.submit(SUBMISSION)) as { id: string };
    const leave = new AbortController();
    const { observer, begun } = watching();
    const watched = client.watchRun(id, observer, leave.signal).catch(() => "left");
    await begun;
    leave.abort();
    expect(await watched).toBe("left");
    expect(node.runs.list().map((run) => run.id)).toEqual([id]);
    expect(node.fake.runs[0]?.request.signal.aborted).toBe(false);
  });

  test("stop() asks the node to end after the answer", async () => {
    using folder = temporaryFolder();
    const stopped = Promise.withResolvers<void>();
    using _node = serve(folder.path, { stop: () => stopped.resolve() });
    using client = await clientOf(folder.path);
    expect(await client.stop()).toBe(STATUS.pid);
    await stopped.promise;
  });
});

/** What goes through a socket takes turns of the event loop. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(1);
}
