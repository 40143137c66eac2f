// What a machine announces of itself by multicast, as entries of a TXT record (RFC 6763, 6): written, and read strictly, as anyone
// on the network can say anything. Nothing in it is believed beyond "there may be a machine at that address".

import { type PeerId, parsePeerId } from "../base/ids.ts";
import { LIMITS } from "../base/limits.ts";
import { INSTANCE } from "./heartbeat.ts";
import { ROLES, type Role } from "./roles.ts";

export interface Announcement {
  /** 16 hex digits made of the mesh's id by `meshTag`: who knows the id recognises it, nobody learns it. */
  readonly meshTag: string;
  readonly peer: PeerId;
  /** Which process of the machine speaks. */
  readonly instance: string;
  /** Name of the machine in its mesh. */
  readonly name: string;
  readonly roles: readonly Role[];
  readonly version: string;
  /** Whether some machine of the mesh waits for a new member at this moment, as far as this one knows. */
  readonly inviteOpen: boolean;
  readonly total: AnnouncedAmounts;
  readonly free: AnnouncedAmounts;
}

/** Integers >= 0. */
export interface AnnouncedAmounts {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly gpus: number;
}

/** Of the form below; another one is another machine's business. */
const FORMAT = "1";
const TAG = /^[0-9a-f]{16}$/;
const WORD = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,63}$/u;
const DIGITS = /^\d{1,15}$/;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** What stands for a mesh in announcements. */
export function meshTag(meshId: string): string {
  return new Bun.CryptoHasher("sha256").update(`mesh announcement\0${meshId}`).digest("hex").slice(0, 16);
}

/** The TXT record's entries: short keys, each entry far below the 255 bytes that one may have. */
export function writeAnnouncement(announcement: Announcement): Readonly<Record<string, string>> {
  const { total, free } = announcement;
  return {
    f: FORMAT,
    m: announcement.meshTag,
    p: announcement.peer,
    i: announcement.instance,
    n: announcement.name,
    r: announcement.roles.join(","),
    v: announcement.version,
    o: announcement.inviteOpen ? "1" : "0",
    ct: String(total.cpuMilli),
    mt: String(total.memoryBytes),
    gt: String(total.gpus),
    cf: String(free.cpuMilli),
    mf: String(free.memoryBytes),
    gf: String(free.gpus),
  };
}

/** Reads the entries of a TXT record; null when they are not an announcement. Keys that are not known are passed over. */
export function readAnnouncement(entries: readonly Uint8Array[]): Announcement | null {
  const fields = readFields(entries);
  if (fields?.get("f") !== FORMAT) return null;
  const peer = parsePeerId(fields.get("p") ?? "");
  const tag = matching(fields.get("m"), TAG);
  const instance = matching(fields.get("i"), INSTANCE);
  const name = matching(fields.get("n"), WORD);
  const version = matching(fields.get("v"), WORD);
  const total = readAmounts(fields, "t");
  const free = readAmounts(fields, "f");
  if (peer === null || tag === null || instance === null || name === null || version === null) return null;
  if (total === null || free === null) return null;
  const said = new Set((fields.get("r") ?? "").split(","));
  return {
    meshTag: tag,
    peer,
    instance,
    name,
    roles: ROLES.filter((role) => said.has(role)),
    version,
    inviteOpen: fields.get("o") === "1",
    total,
    free,
  };
}

function readFields(entries: readonly Uint8Array[]): ReadonlyMap<string, string> | null {
  const size = entries.reduce((sum, entry) => sum + entry.length, 0);
  if (size > LIMITS.announcementBytes) return null;
  const fields = new Map<string, string>();
  for (const entry of entries) {
    const text = decode(entry);
    if (text === null) return null;
    const at = text.indexOf("=");
    // The first of two equal keys counts (RFC 6763, 6.4).
    if (at > 0 && !fields.has(text.slice(0, at))) fields.set(text.slice(0, at), text.slice(at + 1));
  }
  return fields;
}

function readAmounts(fields: ReadonlyMap<string, string>, suffix: "t" | "f"): AnnouncedAmounts | null {
  const said = [`c${suffix}`, `m${suffix}`, `g${suffix}`].map((key) => fields.get(key) ?? "");
  if (!said.every((text) => DIGITS.test(text))) return null;
  const [cpuMilli = 0, memoryBytes = 0, gpus = 0] = said.map(Number);
  return { cpuMilli, memoryBytes, gpus };
}

function matching(text: string | undefined, pattern: RegExp): string | null {
  return text !== undefined && pattern.test(text) ? text : null;
}

function decode(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}
