import { expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { ActiveRuns } from "../../src/node/active-runs.ts";
import { MeshRuns, serveRuns } from "../../src/node/mesh-runs.ts";
import type { RunOutcome, RunRequest } from "../../src/node/node.ts";
import type { FeedMessage } from "../../src/node/run-feed.ts";
import { MeshHub } from "../fake/mesh-hub.ts";
import { SUBMISSION } from "../fake/node-runs.ts";

const idle = { run: () => new Promise<never>(() => {}), resumeRun: () => new Promise<never>(() => {}) };
const ID = "0000000001aaaaaaaa";

/** A node whose run starts at once, prints, and ends when it is told to or cancelled. */
function fakeRun(coordinator: string) {
  const end = Promise.withResolvers<void>();
  const printing = Promise.withResolvers<(text: string) => void>();
  const run = async ({ observer, signal }: RunRequest): Promise<RunOutcome> => {
    const header = { id: ID, title: "t", definition: "tasks.yml", init: {}, targets: [], coordinator };
    observer.event?.({ kind: "run-started", atMs: 5, run: header, options: { failFast: false }, tasks: [] });
    printing.resolve((text) => observer.output?.("a", "stdout", Buffer.from(text)));
    signal.addEventListener("abort", () => end.resolve());
    await end.promise;
    const file = {
      path: "tasks.yml",
      absolutePath: "/x/tasks.yml",
      directory: "/x",
      text: "",
      digest: "sha256:" as never,
    };
    const status = { execution: signal.aborted ? "aborted" : "finished", result: "none" } as const;
    const times = { startedAt: null, completedAt: null, durationMs: null };
    return {
      kind: "finished",
      file,
      diagnostics: [],
      summary: { ...header, ...times, status, tasks: [] },
    };
  };
  return { run, end: () => end.resolve(), print: async (text: string) => (await printing.promise)(text) };
}

async function twoNodes() {
  const hub = new MeshHub();
  const [here, there] = [hub.add("here"), hub.add("there")];
  const fake = fakeRun("there");
  const runs = new ActiveRuns({ ...idle, ...fake });
  serveRuns(there, runs);
  const { feed } = runs.start(SUBMISSION);
  await feed.started;
  return {
    hub,
    here,
    there,
    fake,
    runs,
    mesh: new MeshRuns(here, new ActiveRuns(idle)),
  };
}

test("MeshRuns lists, watches from the beginning and reads the end of another machine's run", async () => {
  const { fake, mesh } = await twoNodes();
  expect(await mesh.list()).toMatchObject([{ id: ID, coordinator: "there", startedAtMs: 5, tasks: 0 }]);
  const seen: FeedMessage[] = [];
  for await (const message of mesh.feed(ID.slice(0, 6), new AbortController().signal)) {
    seen.push(message);
    if (message.kind === "event") await fake.print("hello");
    if (message.kind === "output") fake.end();
  }
  expect(seen.map(({ kind }) => kind)).toEqual(["event", "output", "ended"]);
});

test("MeshRuns stops another machine's run", async () => {
  const { mesh, runs } = await twoNodes();
  const kinds: string[] = [];
  for await (const message of mesh.feed(ID, new AbortController().signal)) {
    kinds.push(message.kind);
    if (message.kind === "event") expect((await mesh.cancel(ID, false)).id).toBe(ID);
    if (message.kind === "ended")
      expect(message.outcome).toMatchObject({ summary: { status: { execution: "aborted" } } });
  }
  expect(kinds).toEqual(["event", "ended"]);
  expect(runs.list()).toEqual([]);
});

test("MeshRuns says that a run is nowhere, also when its machine is gone", async () => {
  const { hub, there, mesh } = await twoNodes();
  expect(await codeOf(mesh.cancel("zzzz", false))).toBe("run.not-found");
  hub.kill(there.self);
  expect(await codeOf(mesh.cancel(ID, false))).toBe("run.not-found");
});

test("a machine that may not submit sees no runs", async () => {
  const { hub } = await twoNodes();
  const worker = new MeshRuns(hub.add("worker", ["worker"]), new ActiveRuns(idle));
  expect(await worker.list()).toEqual([]);
});

test("MeshRuns refuses what is no feed", async () => {
  const { there, mesh } = await twoNodes();
  there.onStream("run.watch", async function* () {
    yield Buffer.from('{"kind":"ended","outcome":{"kind":"finished"}}\n');
  });
  const read = async () => {
    for await (const message of mesh.feed(ID, new AbortController().signal)) void message;
  };
  expect(await codeOf(read())).toBe("peer.misbehaved");
});

async function codeOf(failing: Promise<unknown>): Promise<string> {
  const error = await failing.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return error instanceof MeshError ? error.code : String(error);
}
