// Finding machines on the local networks by multicast DNS: one responder for each interface and family, as interfaces come and go.
// It only says what it heard; where multicast is dead it says so, and nothing fails.

import { networkInterfaces } from "node:os";
import { LIMITS } from "../../base/limits.ts";
import { isLinkLocal, isPort, readAddress } from "../address.ts";
import { type Announcement, readAnnouncement, writeAnnouncement } from "../announcement.ts";
import type { Address } from "../peer-view.ts";
import { type Heard, openResponder, type Responder } from "./multicast.ts";

export interface DiscoveryOptions {
  /** Null: only listens. */
  readonly announce: { readonly port: number; readonly announcement: Announcement } | null;
  readonly onSighting: (sighting: Sighting) => void;
  /** Called at once with the addresses that this machine has, and whenever they change. */
  readonly onInterfaces?: (hosts: readonly string[]) => void;
}

export interface Sighting {
  readonly announcement: Announcement;
  /** At least one; the one that it spoke from first. */
  readonly addresses: readonly Address[];
}

interface Interface {
  /** "eth0 IPv4" */
  readonly key: string;
  readonly address: string;
  readonly hosts: readonly string[];
}

/** Waits between questions; the last one is repeated. */
const QUERY_MS = [1_000, 2_000, 5_000, 10_000, 30_000] as const;
const INTERFACES_MS = 1_000;
/** Changes of what is free are told to everybody on the network no more often than this. */
const UPDATE_MS = 5_000;
const MOST_INTERFACES = 16;

export class Discovery implements AsyncDisposable {
  readonly #options: DiscoveryOptions;
  readonly #responders = new Map<string, { readonly identity: string; readonly opening: Promise<Responder | null> }>();
  readonly #faults = new Map<string, string>();
  readonly #timers = new Set<Timer>();
  #announcement: Announcement | null;
  #published: string | null = null;
  #updatedAtMs = 0;
  #hosts = "";
  #isClosed = false;

  private constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#announcement = options.announce?.announcement ?? null;
  }

  /** Opens a responder on each interface. Never throws: see `faults`. */
  static async open(options: DiscoveryOptions): Promise<Discovery> {
    const discovery = new Discovery(options);
    await discovery.#meetInterfaces();
    discovery.#every(
      () => INTERFACES_MS,
      () => discovery.#meetInterfaces(),
    );
    let round = 0;
    discovery.#every(
      () => QUERY_MS[Math.min(round++, QUERY_MS.length - 1)] ?? 0,
      () => discovery.#query(),
    );
    if (options.announce !== null)
      discovery.#every(
        () => UPDATE_MS,
        () => discovery.#publishChange(),
      );
    return discovery;
  }

  /** Where it works or should: "eth0 IPv4". */
  get interfaces(): readonly string[] {
    return [...this.#responders.keys()].toSorted();
  }

  /** What keeps multicast from working, for people: "eth0 IPv4: EACCES". Empty when nothing is known to. */
  get faults(): readonly string[] {
    if (this.#responders.size === 0) return ["no network interface is up"];
    return [...this.#faults].map(([key, reason]) => `${key}: ${reason}`).toSorted();
  }

  /** Announces this from now on; amounts that change are told every few seconds at most, the rest at once. */
  update(announcement: Announcement): void {
    const before = this.#announcement;
    this.#announcement = announcement;
    const isUrgent = before?.inviteOpen !== announcement.inviteOpen || before.name !== announcement.name;
    if (isUrgent || performance.now() - this.#updatedAtMs >= UPDATE_MS) void this.#publishChange();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    const responders = await Promise.all([...this.#responders.values()].map(({ opening }) => opening));
    this.#responders.clear();
    await Promise.all(responders.map(async (responder) => await responder?.close()));
  }

  #every(waitMs: () => number, act: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#isClosed) return;
      this.#every(waitMs, act);
      void act();
    }, waitMs());
    this.#timers.add(timer);
    timer.unref();
  }

  /** Opens responders on new interfaces and closes those of interfaces that are gone or have other addresses. */
  async #meetInterfaces(): Promise<void> {
    const interfaces = usableInterfaces();
    const hosts = ownHosts().join(" ");
    if (hosts !== this.#hosts) {
      this.#hosts = hosts;
      this.#options.onInterfaces?.(ownHosts());
    }
    const identities = new Map(interfaces.map((one) => [one.key, `${one.address} ${one.hosts.join(" ")}`]));
    for (const [key, { identity, opening }] of this.#responders) {
      if (identities.get(key) === identity) continue;
      this.#responders.delete(key);
      this.#faults.delete(key);
      void opening.then((responder) => responder?.close());
    }
    const fresh = interfaces.filter(({ key }) => !this.#responders.has(key));
    await Promise.all(fresh.map((one) => this.#meet(one, identities.get(one.key) ?? "")));
  }

  async #meet(one: Interface, identity: string): Promise<void> {
    const opening = openResponder({
      address: one.address,
      hosts: one.hosts,
      onHeard: (heard) => this.#hear(heard, one),
      onFault: (reason) => this.#faults.set(one.key, reason),
    }).catch((error: unknown) => {
      this.#faults.set(one.key, error instanceof Error ? error.message : String(error));
      return null;
    });
    this.#responders.set(one.key, { identity, opening });
    const responder = await opening;
    if (responder === null || this.#isClosed) return;
    this.#publishOn(responder);
    responder.query(LIMITS.announcements);
  }

  async #query(): Promise<void> {
    for (const { opening } of this.#responders.values()) (await opening)?.query(LIMITS.announcements);
  }

  async #publishChange(): Promise<void> {
    const said = JSON.stringify(this.#announcement);
    if (said === this.#published) return;
    this.#published = said;
    this.#updatedAtMs = performance.now();
    for (const { opening } of this.#responders.values()) {
      const responder = await opening;
      if (responder !== null && !this.#isClosed) this.#publishOn(responder);
    }
  }

  #publishOn(responder: Responder): void {
    const { announce } = this.#options;
    if (announce === null || this.#announcement === null) return;
    const { peer, instance } = this.#announcement;
    this.#published = JSON.stringify(this.#announcement);
    responder.publish({
      // Unique also where two machines have one identity, so that each is heard.
      name: `${peer.slice(0, 16)}-${instance.slice(0, 8)}`,
      port: announce.port,
      txt: writeAnnouncement(this.#announcement),
    });
  }

  #hear({ port, entries, hosts }: Heard, on: Interface): void {
    if (this.#isClosed || !isPort(port)) return;
    const announcement = readAnnouncement(entries);
    if (announcement === null) return;
    const zone = on.key.split(" ")[0] ?? "";
    const unique = new Set(hosts.map((host) => (isLinkLocal(host) && host.includes(":") ? zoned(host, zone) : host)));
    const addresses = [...unique]
      .slice(0, LIMITS.peerAddresses)
      .map((host) => readAddress({ host, port }))
      .filter((address) => address !== null);
    if (addresses.length > 0) this.#options.onSighting({ announcement, addresses });
  }
}

/** This machine's addresses that others could reach it at. */
export function ownHosts(): readonly string[] {
  return usableInterfaces()
    .flatMap(({ hosts }) => hosts)
    .filter((host, at, all) => all.indexOf(host) === at && !isLinkLocal(host))
    .toSorted();
}

function zoned(host: string, zone: string): string {
  return `${host.split("%")[0] ?? host}%${zone}`;
}

/** Interfaces that are up, by family; the loopback only where there is nothing else. */
function usableInterfaces(): readonly Interface[] {
  const all = Object.entries(networkInterfaces()).map(([name, addresses = []]) => ({ name, addresses }));
  const outer = all.filter(({ addresses }) => addresses.some(({ internal }) => !internal));
  const usable = outer.length > 0 ? outer : all;
  return usable
    .flatMap(({ name, addresses }): Interface[] => {
      const hosts = addresses.map(({ address }) => address);
      const ipv4 = addresses.find(({ family }) => family === "IPv4");
      const hasIpv6 = addresses.some(({ family, internal }) => family === "IPv6" && !internal);
      return [
        ...(ipv4 === undefined ? [] : [{ key: `${name} IPv4`, address: ipv4.address, hosts }]),
        ...(hasIpv6 ? [{ key: `${name} IPv6`, address: `::%${name}`, hosts }] : []),
      ];
    })
    .slice(0, MOST_INTERFACES);
}
