// A machine's part in a mesh as commands see it: a service that answers what it is told, a seat and a keeper that note what
// was asked of them.

import type { Digest } from "../../../src/base/digest.ts";
import { MeshError } from "../../../src/base/errors.ts";
import type { PeerId } from "../../../src/base/ids.ts";
import type { PeerView } from "../../../src/mesh/peer-view.ts";
import type {
  ActiveRun,
  Farewell,
  FoundMesh,
  InviteEnd,
  JoinWish,
  Membership,
  MeshSeat,
  NodeKeeper,
  NodeService,
  NodeStatus,
  ServedNode,
  ServeOptions,
} from "../../../src/node/node-service.ts";

const GIB = 1024 ** 3;
const MESH = `sha256:${"ab".repeat(32)}` as Digest;

export const MEMBERSHIP: Membership = {
  id: "11".repeat(32) as PeerId,
  name: "desk",
  mesh: MESH,
  roles: ["worker", "submitter", "admin"],
};

const STATUS: NodeStatus = {
  ...MEMBERSHIP,
  version: "1.2.3",
  pid: 42,
  startedAtMs: 0,
  addresses: [{ host: "10.0.0.1", port: 7433 }],
  draining: false,
  remarks: [],
};

/** A machine that is up, with four CPUs of which one and a half are free. */
export function peer(name: string, change: Partial<PeerView> = {}): PeerView {
  return {
    id: "22".repeat(32) as PeerId,
    name,
    roles: ["worker", "submitter"],
    state: "up",
    reason: null,
    addresses: [{ host: "10.0.0.2", port: 7433 }],
    foundBy: "mdns",
    latencyMs: 0.42,
    version: "1.2.3",
    lastSeenAtMs: null,
    snapshot: {
      capacity: {
        name,
        os: "linux",
        arch: "x86_64",
        labels: ["ssd"],
        baseKeys: [],
        total: { cpuMilli: 4_000, memoryBytes: 16 * GIB, diskBytes: GIB },
        free: { cpuMilli: 1_500, memoryBytes: 12 * GIB, diskBytes: GIB },
        gpus: [
          { index: 0, memoryBytes: 80 * GIB, freeMemoryBytes: 0, inUse: true },
          { index: 1, memoryBytes: 80 * GIB, freeMemoryBytes: 80 * GIB, inUse: false },
        ],
      },
      gpuModels: [
        { index: 0, model: "h100", memoryBytes: 80 * GIB },
        { index: 1, model: "h100", memoryBytes: 80 * GIB },
      ],
      cpuPercent: 61,
      runningTasks: 3,
      blobs: { count: 7, bytes: 2 * GIB },
      draining: false,
      speedPercent: 100,
    },
    ...change,
  };
}

interface FakeMeshOptions {
  /** null: no member yet. */
  readonly membership?: Membership | null;
  readonly running?: boolean;
  readonly peers?: readonly PeerView[];
  readonly found?: readonly FoundMesh[];
  readonly runs?: readonly ActiveRun[];
  readonly inviteEnd?: InviteEnd;
  readonly service?: Partial<NodeService>;
  /** Whether a node in the foreground goes on until Ctrl-C; somebody stops it at once otherwise. */
  readonly stays?: boolean;
}

export class FakeMesh implements MeshSeat, NodeKeeper {
  readonly logPath = "/home/mesh/node.log";
  /** What was asked, in order. */
  readonly asked: (readonly unknown[])[] = [];
  readonly #options: FakeMeshOptions;
  #membership: Membership | null;
  #isRunning: boolean;

  constructor(options: FakeMeshOptions = {}) {
    this.#options = options;
    this.#membership = options.membership === undefined ? MEMBERSHIP : options.membership;
    this.#isRunning = options.running ?? false;
  }

  service(): Promise<NodeService> {
    if (this.#membership === null) throw new MeshError("mesh.not-a-member", "This machine is in no mesh");
    const { peers = [], runs = [], inviteEnd, service } = this.#options;
    const note = (...words: unknown[]) => void this.asked.push(words);
    const named = (name: string | null) => peers.find((each) => each.name === name) ?? peer(name ?? "desk");
    return Promise.resolve({
      status: () => Promise.resolve(STATUS),
      peers: () => Promise.resolve(peers),
      ping: (name, count) => {
        note("ping", name, count);
        return Promise.resolve({
          name,
          rttMs: Array.from({ length: count }, (_, at) => (at === 1 ? null : at + 0.5)),
          address: null,
          reason: null,
        });
      },
      invite: (wish) => {
        note("invite", wish);
        return Promise.resolve({ code: "k7q-m2x-dn4", expiresAtMs: Date.UTC(2026, 0, 1, 0, 15), roles: wish.roles });
      },
      inviteEnd: () => Promise.resolve(inviteEnd ?? { kind: "expired" }),
      revoke: (name) => {
        note("revoke", name);
        return Promise.resolve({ ...named(name), state: "revoked" });
      },
      drain: (name, on) => {
        note("drain", name, on);
        return Promise.resolve(named(name));
      },
      run: () => Promise.reject(new Error("the fake service runs nothing")),
      submit: (submission) => {
        note("submit", submission);
        return Promise.resolve({ kind: "submitted", id: "01jb0000000000000r", title: "tasks.yml" });
      },
      activeRuns: () => Promise.resolve(runs),
      watchRun: () => Promise.reject(new MeshError("run.not-found", "no such run")),
      cancelRun: (run) => {
        note("cancel", run);
        const found = runs.find(({ id }) => id.startsWith(run));
        return found === undefined
          ? Promise.reject(new MeshError("run.not-found", "no such run"))
          : Promise.resolve(found);
      },
      fetch: (wanted) => {
        note("fetch", wanted);
        return Promise.resolve({ receivedBytes: 5, reusedBytes: 0, liars: [] });
      },
      locate: (wanted) => Promise.resolve(new Map(wanted.map(({ digest }) => [digest, ["attic"]]))),
      ...service,
    });
  }

  membership(): Promise<Membership | null> {
    return Promise.resolve(this.#membership);
  }

  init(name: string | null): Promise<Membership> {
    this.asked.push(["init", name]);
    this.#membership = { ...MEMBERSHIP, name: name ?? MEMBERSHIP.name };
    return Promise.resolve(this.#membership);
  }

  find(): Promise<readonly FoundMesh[]> {
    return Promise.resolve(this.#options.found ?? []);
  }

  join(wish: JoinWish): Promise<Membership> {
    this.asked.push(["join", wish]);
    this.#membership = MEMBERSHIP;
    return Promise.resolve(MEMBERSHIP);
  }

  leave(options: { readonly newIdentity: boolean }): Promise<Farewell> {
    this.asked.push(["leave", options]);
    this.#membership = null;
    return Promise.resolve({ heard: null, ...options });
  }

  async running(): Promise<NodeService | null> {
    return this.#isRunning ? await this.service() : null;
  }

  async serve(options: ServeOptions): Promise<ServedNode> {
    this.asked.push(["serve", options]);
    return {
      service: await this.service(),
      stopAsked: this.#options.stays === true ? new Promise(() => {}) : Promise.resolve(),
      [Symbol.asyncDispose]: () => {
        this.asked.push(["served"]);
        return Promise.resolve();
      },
    };
  }

  start(options: ServeOptions): Promise<NodeStatus> {
    this.asked.push(["start", options]);
    this.#isRunning = true;
    return Promise.resolve(STATUS);
  }

  stop(): Promise<void> {
    if (!this.#isRunning) throw new MeshError("node.not-running", "No node runs here");
    this.asked.push(["stop"]);
    return Promise.resolve();
  }
}
