// Meshes on the local network as they announce themselves, for a machine that belongs to none. Nothing of it is proved.

import type { PeerId } from "../../base/ids.ts";
import { LIMITS } from "../../base/limits.ts";
import type { Address } from "../peer-view.ts";
import { Discovery, type Sighting } from "./discovery.ts";

export interface FoundMesh {
  /** 16 hex digits: the same for all machines of the mesh. */
  readonly tag: string;
  /** By name. */
  readonly machines: readonly FoundMachine[];
}

export interface FoundMachine {
  readonly peer: PeerId;
  readonly name: string;
  /** At least one. */
  readonly addresses: readonly Address[];
  /** Whether it waits for somebody with a code. */
  readonly inviteOpen: boolean;
}

/** Looks for meshes as long as it is open. */
export class MeshFinder implements AsyncDisposable {
  readonly #machines = new Map<string, { readonly tag: string; readonly machine: FoundMachine }>();
  readonly #onFound: () => void;
  #discovery: Discovery | null = null;

  private constructor(onFound: () => void) {
    this.#onFound = onFound;
  }

  /** `onFound` is called whenever `found` has changed. Never throws: see `faults`. */
  static async open(onFound: () => void): Promise<MeshFinder> {
    const finder = new MeshFinder(onFound);
    finder.#discovery = await Discovery.open({ announce: null, onSighting: (sighting) => finder.#take(sighting) });
    return finder;
  }

  /** What was found so far, by tag. */
  get found(): readonly FoundMesh[] {
    const byTag = Map.groupBy(this.#machines.values(), ({ tag }) => tag);
    return [...byTag]
      .map(([tag, all]) => ({ tag, machines: all.map(({ machine }) => machine).toSorted(byName) }))
      .toSorted((a, b) => (a.tag < b.tag ? -1 : 1));
  }

  /** Where it looks: "eth0 IPv4". */
  get interfaces(): readonly string[] {
    return this.#discovery?.interfaces ?? [];
  }

  /** What keeps meshes from being found, for people. */
  get faults(): readonly string[] {
    return this.#discovery?.faults ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#discovery?.[Symbol.asyncDispose]();
  }

  #take({ announcement, addresses }: Sighting): void {
    const { meshTag: tag, peer, name, inviteOpen } = announcement;
    const key = `${tag} ${peer}`;
    const known = this.#machines.get(key)?.machine;
    if (known === undefined && this.#machines.size >= LIMITS.announcements) return;
    const all = [...addresses, ...(known?.addresses ?? [])];
    const unique = all.filter((address, at) => all.findIndex((other) => Bun.deepEquals(other, address)) === at);
    const machine = { peer, name, addresses: unique.slice(0, LIMITS.peerAddresses), inviteOpen };
    if (Bun.deepEquals(known, machine)) return;
    this.#machines.set(key, { tag, machine });
    this.#onFound();
  }
}

function byName(a: FoundMachine, b: FoundMachine): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : a.peer < b.peer ? -1 : 1;
}
