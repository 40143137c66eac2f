// Addresses of machines: read from text and from what peers say, ordered for dialling, and which of them others may be told.
// It never resolves a name.

import type { Address } from "./peer-view.ts";

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const IPV6 = /^[0-9a-fA-F:]{2,39}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?$/;
const ZONE = /^[A-Za-z0-9_.-]{1,15}$/;
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\.?$/;

/** "10.0.0.7:7433", "[fe80::1%eth0]:7433". */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Reads what a person typed: `HOST`, `HOST:PORT`, `IPV6` or `[IPV6]:PORT`, names included; null when it is none of these. */
export function parseAddress(text: string, defaultPort: number): Address | null {
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text);
  const plain = /^([^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  const host = bracketed?.[1] ?? plain?.[1] ?? text;
  const portText = bracketed?.[2] ?? plain?.[2];
  const port = portText === undefined ? defaultPort : Number(portText);
  if (!isPort(port)) return null;
  if (isIpv6(host)) return { host, port };
  const looksNumeric = /^[\d.]+$/.test(host);
  return bracketed === null && (looksNumeric ? IPV4.test(host) : HOST_NAME.test(host)) ? { host, port } : null;
}

/** Reads an address out of what another machine said: numbers only, and only of one machine; null when it is not that. */
export function readAddress(value: unknown): Address | null {
  if (typeof value !== "object" || value === null || !("host" in value) || !("port" in value)) return null;
  const { host, port } = value;
  if (typeof host !== "string" || typeof port !== "number" || !isPort(port)) return null;
  return isUnicast(host) ? { host: host.toLowerCase(), port } : null;
}

export function isPort(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value < 65_536;
}

export function isIpv4(host: string): boolean {
  return IPV4.test(host);
}

export function isIpv6(host: string): boolean {
  const [address = "", zone, ...more] = host.split("%");
  if (more.length > 0 || (zone !== undefined && !ZONE.test(zone)) || !IPV6.test(address)) return false;
  const groups = address.split(":");
  const isShort = address.includes("::");
  const size = groups.length + (address.includes(".") ? 1 : 0);
  return (
    groups.every((group) => group.length <= 4 || group.includes(".")) &&
    (address.match(/::/g)?.length ?? 0) <= 1 &&
    !address.includes(":::") &&
    (isShort ? size <= 9 : size === 8)
  );
}

export function isSameAddress(a: Address, b: Address): boolean {
  return a.port === b.port && a.host === b.host;
}

export function isLoopback(host: string): boolean {
  return host.startsWith("127.") || host === "::1" || host.startsWith("::ffff:127.");
}

/** fe80::/10: means something only together with an interface. */
export function isLinkLocal(host: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(host) || host.startsWith("169.254.");
}

/** Whether an address means the same on other machines: those of one machine or one link do not. */
export function isTellable({ host }: Address): boolean {
  return isUnicast(host) && !isLoopback(host) && !isLinkLocal(host);
}

/** The families take turns, each in its order, so that a dead one costs no more than one attempt's head start (RFC 8305, 4). */
export function interleaveFamilies(addresses: readonly Address[]): readonly Address[] {
  const first = addresses[0];
  if (first === undefined) return [];
  const [sixes, others] = [
    addresses.filter(({ host }) => host.includes(":")),
    addresses.filter(({ host }) => !host.includes(":")),
  ];
  const [ahead, behind] = first.host.includes(":") ? [sixes, others] : [others, sixes];
  return Array.from({ length: Math.max(ahead.length, behind.length) }).flatMap((_, index) =>
    [ahead[index], behind[index]].filter((address) => address !== undefined),
  );
}

function isUnicast(host: string): boolean {
  if (isIpv4(host)) {
    const first = Number(host.split(".")[0]);
    return first > 0 && first < 224;
  }
  return isIpv6(host) && !/^ff/i.test(host) && !/^[0:]+$/.test(host.split("%")[0] ?? "");
}
