// Machines in this process that are connected over real TLS on loopback, for tests of what runs between machines.

import type { PeerId } from "../../src/base/ids.ts";
import type { MeshError } from "../../src/base/errors.ts";
import type { ProtocolRange } from "../../src/mesh/hello.ts";
import { type Identity, identityOf } from "../../src/mesh/identity.ts";
import { Links } from "../../src/mesh/io/links.ts";
import { nativeSignatures } from "../../src/mesh/io/native-signatures.ts";
import type { SecureSocket } from "../../src/mesh/io/secure-socket.ts";
import type { MemberView } from "../../src/mesh/methods.ts";
import type { Address } from "../../src/mesh/peer-view.ts";
import type { Role } from "../../src/mesh/roles.ts";

export interface MachineOptions {
  readonly roles?: readonly Role[];
  /** Not in the roster of the others. */
  readonly isStranger?: boolean;
  readonly protocol?: ProtocolRange;
  readonly version?: string;
  /** The same machine as before, started anew. */
  readonly identity?: Identity;
}

/** An identity that only this name has. */
export function identityNamed(name: string): Identity {
  return identityOf(new Bun.CryptoHasher("sha256").update(name).digest(), nativeSignatures);
}

export class TestMachine {
  readonly links: Links;
  readonly identity: Identity;
  readonly address: Address;
  /** What happened: "linked beta", "lost beta", "refused beta: ...". */
  readonly events: string[] = [];
  readonly failures: unknown[] = [];
  joining: ((socket: SecureSocket) => void) | null = null;
  readonly #waiters = new Set<() => void>();

  constructor(name: string, mesh: TestMesh, options: MachineOptions) {
    this.identity = options.identity ?? identityNamed(name);
    const said = (event: string): void => {
      this.events.push(event);
      for (const waiter of this.#waiters) waiter();
    };
    const nameOf = (peer: PeerId): string => mesh.memberOf(peer)?.name ?? "a stranger";
    this.links = new Links({
      identity: this.identity,
      // A stranger believes that all others are of its mesh.
      memberOf: (peer) => (options.isStranger === true ? mesh.anyoneOf(peer) : mesh.memberOf(peer)),
      joining: () => this.joining,
      version: options.version ?? "0.1.0",
      instance: Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex"),
      ...(options.protocol === undefined ? {} : { protocol: options.protocol }),
      events: {
        linked: (peer) => said(`linked ${nameOf(peer)}`),
        lost: (peer) => said(`lost ${nameOf(peer)}`),
        refused: (peer, error: MeshError) => said(`refused ${nameOf(peer)}: ${error.code}`),
        roundTrip: () => undefined,
        handlerFailed: (_, error) => this.failures.push(error),
      },
    });
    this.address = { host: "127.0.0.1", port: this.links.listen({ hostname: "127.0.0.1", port: 0 }) };
  }

  get id(): PeerId {
    return this.identity.id;
  }

  /** Resolves when an event has happened, from the `from`th on. */
  async saw(event: string, from = 0): Promise<void> {
    while (!this.events.slice(from).includes(event)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiters.add(resolve);
      await promise;
      this.#waiters.delete(resolve);
    }
  }
}

export class TestMesh implements AsyncDisposable {
  readonly #machines: TestMachine[] = [];
  readonly roster = new Map<PeerId, MemberView>();
  readonly #strangers = new Map<PeerId, MemberView>();

  /** Starts a machine that listens on a free port of loopback. */
  start(name: string, options: MachineOptions = {}): TestMachine {
    const machine = new TestMachine(name, this, options);
    const view = { name, roles: options.roles ?? ["worker", "submitter"] };
    (options.isStranger === true ? this.#strangers : this.roster).set(machine.id, view);
    this.#machines.push(machine);
    return machine;
  }

  memberOf(peer: PeerId): MemberView | null {
    return this.roster.get(peer) ?? null;
  }

  anyoneOf(peer: PeerId): MemberView | null {
    return this.roster.get(peer) ?? this.#strangers.get(peer) ?? null;
  }

  /** Connects two machines, one of which dials; resolves when both can call. */
  async link(a: TestMachine, b: TestMachine): Promise<void> {
    const [nameOfA, nameOfB] = [this.memberOf(a.id)?.name ?? "", this.memberOf(b.id)?.name ?? ""];
    const [fromA, fromB] = [a.events.length, b.events.length];
    await a.links.connect(b.id, b.address);
    await Promise.all([a.saw(`linked ${nameOfB}`, fromA), b.saw(`linked ${nameOfA}`, fromB)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#machines.map(async ({ links }) => await links.close()));
  }
}
