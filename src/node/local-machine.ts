// This machine between its commands: whether it is in a mesh, whether its node runs, how to start and stop that; and a node for
// the time of one command where none runs. It decides nothing about runs.

import { chmodSync, closeSync, existsSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, MeshError } from "../base/errors.ts";
import { readText } from "../base/io/text-files.ts";
import { LIMITS } from "../base/limits.ts";
import type { Daemon } from "./daemon.ts";
import type { LocalClient } from "./local-client.ts";
import type {
  Farewell,
  FoundMesh,
  JoinWish,
  Membership,
  MeshSeat,
  NodeKeeper,
  NodeService,
  NodeStatus,
  ServedNode,
  ServeOptions,
} from "./node-service.ts";
import { meshFolder, openSocketPath } from "./socket-path.ts";

export interface LocalMachineOptions {
  readonly home: string;
  /** The words that start this program. */
  readonly program: readonly string[];
}

/** How long answers may still be read when the node ends. */
const LAST_WORDS_MS = 500;

/** What of a log is shown when a node did not start. */
const LOG_TAIL_CHARS = 2_000;

/** A log that is larger when its node starts begins anew. */
const LOG_BYTES = 1 << 20;

export class LocalMachine implements MeshSeat, NodeKeeper, AsyncDisposable {
  readonly #home: string;
  readonly #program: readonly string[];
  readonly #open = new AsyncDisposableStack();
  #client: Promise<LocalClient | null> | null = null;
  #own: Promise<Daemon> | null = null;

  constructor(options: LocalMachineOptions) {
    this.#home = options.home;
    this.#program = options.program;
  }

  get logPath(): string {
    return join(meshFolder(this.#home), "node.log");
  }

  /** What runs definitions: the node in the background, or a node of this process, which opens the mesh only when it needs it. */
  async runner(): Promise<Pick<NodeService, "run">> {
    const client = await this.#running();
    if (client !== null) return client;
    const { RunNode } = await import("./run-node.ts");
    return this.#open.use(new RunNode(this.#home));
  }

  async service(): Promise<NodeService> {
    return (await this.#running()) ?? (await (this.#own ??= this.#openOwn()));
  }

  // The seat

  async membership(): Promise<Membership | null> {
    if (!existsSync(meshFolder(this.#home))) return null;
    const { readMembership } = await import("./membership.ts");
    return readMembership(this.#home);
  }

  async init(name: string | null): Promise<Membership> {
    const { makeMesh } = await import("./membership.ts");
    return makeMesh(this.#home, name);
  }

  async find(signal: AbortSignal): Promise<readonly FoundMesh[]> {
    const { findMeshes } = await import("./membership.ts");
    return await findMeshes(signal);
  }

  async join(wish: JoinWish, signal: AbortSignal): Promise<Membership> {
    const { join: joinMesh } = await import("./membership.ts");
    return await joinMesh(this.#home, wish, signal);
  }

  async leave(options: { readonly newIdentity: boolean }): Promise<Farewell> {
    if ((await this.#running()) !== null)
      throw new MeshError("node.already-running", "Cannot leave the mesh while this machine's node runs");
    const { leaveMesh } = await import("./membership.ts");
    return await leaveMesh(this.#home, options);
  }

  // The keeper

  running(): Promise<NodeService | null> {
    return this.#running();
  }

  async serve(options: ServeOptions): Promise<ServedNode> {
    await this.#refuseSecond();
    const [{ openDaemon }, { localApi }] = await Promise.all([import("./open-node.ts"), import("./local-api.ts")]);
    await using stack = new AsyncDisposableStack();
    const daemon = stack.use(await openDaemon({ home: this.#home, serve: options }));
    const socket = stack.use(openSocketPath(this.#home));
    // only the lock's owner gets here: what lies there is left of a node that was killed
    rmSync(socket.path, { force: true });
    const api = localApi(daemon);
    const server = Bun.serve({
      unix: socket.path,
      maxRequestBodySize: LIMITS.apiRequestBytes,
      // a run may be silent for hours; Bun's types know of this for ports alone
      ...({ idleTimeout: 0 } as object),
      fetch: (request) => api.fetch(request),
    });
    stack.defer(async () => {
      // those who watch hear how their runs ended
      await daemon.endRuns();
      await Promise.race([server.stop(), Bun.sleep(LAST_WORDS_MS)]);
      await server.stop(true);
      rmSync(socket.path, { force: true });
    });
    chmodSync(socket.path, 0o600);
    // not before it is sure to serve: what ends early would cancel them
    daemon.takeRunsUp();
    const parts = stack.move();
    return { service: daemon, stopAsked: daemon.stopAsked, [Symbol.asyncDispose]: () => parts.disposeAsync() };
  }

  async start(options: ServeOptions): Promise<NodeStatus> {
    await this.#refuseSecond();
    if ((await this.membership()) === null)
      throw new MeshError("mesh.not-a-member", "Cannot start the node: this machine is in no mesh");
    // what cannot be read is said here, not in a log
    const { applyWish, readLending } = await import("./lending.ts");
    applyWish(readLending(this.#home), options);
    const { log, from } = openLog(this.logPath);
    const child = Bun.spawn([...this.#program, "up", "--foreground", ...flagsOf(options)], {
      cwd: "/",
      env: { ...process.env, MESH_HOME: this.#home },
      stdin: "ignore",
      stdout: log,
      stderr: log,
      detached: true,
    });
    closeSync(log);
    child.unref();
    const until = performance.now() + LIMITS.nodeStartMs;
    while (performance.now() < until && child.exitCode === null) {
      const client = await this.#running();
      const status = await client?.status();
      if (status?.pid === child.pid) return status;
      await Bun.sleep(LIMITS.nodeLookMs);
    }
    if (child.exitCode === null) child.kill();
    else {
      // another one was faster; its socket may not be there yet
      const { lastHolder } = await import("../mesh/io/mesh-lock.ts");
      const holder = lastHolder(meshFolder(this.#home));
      if (holder !== null && holder !== child.pid && lives(holder)) throw alreadyRunning(holder);
    }
    throw new MeshError("node.failed", `The node did not start: ${logTail(this.logPath, from)}`, {
      hint: `Its log is ${this.logPath}. \`mesh up --foreground\` shows what it does.`,
    });
  }

  async stop(): Promise<void> {
    const client = await this.#running();
    if (client === null) throw new MeshError("node.not-running", "Cannot stop the node: none runs here");
    const pid = await client.stop();
    const until = performance.now() + LIMITS.nodeStopMs;
    while (performance.now() < until) {
      await Bun.sleep(LIMITS.nodeLookMs);
      if (!lives(pid)) return;
    }
    throw new MeshError("node.failed", `The node (process ${pid}) was asked to stop and still runs`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync();
  }

  async #running(): Promise<LocalClient | null> {
    if (!existsSync(join(meshFolder(this.#home), "node.sock"))) return null;
    const { LocalClient: Client } = await import("./local-client.ts");
    const client = await (this.#client ??= Client.find(this.#home));
    if (client === null) this.#client = null;
    return client;
  }

  async #refuseSecond(): Promise<void> {
    const running = await this.#running();
    if (running === null) return;
    throw alreadyRunning((await running.status()).pid);
  }

  async #openOwn(): Promise<Daemon> {
    if ((await this.membership()) === null) throw new MeshError("mesh.not-a-member", "This machine is in no mesh");
    const { openDaemon } = await import("./open-node.ts");
    return this.#open.use(await openDaemon({ home: this.#home, serve: null }));
  }
}

function alreadyRunning(pid: number): MeshError {
  return new MeshError("node.already-running", `This machine's node runs already, as process ${pid}`);
}

function flagsOf({ cpus, memory, gpus, labels, port }: ServeOptions): readonly string[] {
  const flag = (name: string, value: string | number | null) => (value === null ? [] : [`--${name}`, String(value)]);
  return [
    ...flag("cpus", cpus),
    ...flag("memory", memory),
    ...flag("gpus", gpus),
    ...flag("labels", labels),
    ...flag("port", port),
  ];
}

/** A process that ended and that nobody has asked about (proc_pid_stat(5)) does not live. */
function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) [ZX] /.test(readText(`/proc/${pid}/stat`));
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

/** Opens the log for what comes. `from`: where that begins. Another node that starts at the same time loses nothing. */
function openLog(path: string): { readonly log: number; readonly from: number } {
  const log = openSync(path, "a", 0o600);
  const { size } = fstatSync(log);
  if (size <= LOG_BYTES) return { log, from: size };
  ftruncateSync(log);
  return { log, from: 0 };
}

function logTail(path: string, from: number): string {
  const text = readFileSync(path).subarray(from).toString().trim();
  return text === "" ? "it said nothing" : text.slice(-LOG_TAIL_CHARS);
}
