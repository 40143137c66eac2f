// Which user and group ids exist inside a context, and the parked user namespace that holds the subordinate ones.

import { closeSync, existsSync, openSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { getXattr } from "../../base/io/libc.ts";
import { readText } from "../../base/io/text-files.ts";
import { fail } from "../../base/errors.ts";
import type { IdMapKind } from "../runtime/context-spec.ts";
import { PID_RECORD, REPORT_FD } from "../runtime/emit.ts";
import type { IdMap } from "../runtime/plan-input.ts";
import { address, bytes, call, type SetupProgram, words } from "../runtime/setup-op.ts";
import {
  findRange,
  type IdRange,
  mapHolds,
  mapsManyIds,
  RANGE_COUNT,
  sameIds,
  nameOfUser,
} from "../runtime/sub-ids.ts";
import type { IdMaps as StoreIdMaps } from "../../store/ids.ts";
import { CAP_SETGID, CAP_SETUID, hasCapability, mayGainPrivileges } from "./privilege.ts";
import { spawnImage } from "./spawn-image.ts";

/** A map, and the descriptor of the user namespace to enter first, if any. */
export interface PreparedIdMap {
  readonly map: IdMap;
  readonly namespaceFd: number | null;
}

/** Where root's contexts take subordinate ids from when /etc/subuid gives root none. */
const ROOT_RANGE: IdRange = { start: 1_000_000_000, count: RANGE_COUNT };

/**
 * The best map this user can have. "identity" takes the right to map the machine's own ids: root of a user namespace that has one
 * id has none to keep. "range" takes a range, and helpers that may map it. Else "single".
 */
export function bestIdMap(): IdMapKind {
  if (process.getuid?.() === 0) {
    const mayMap = hasCapability(CAP_SETUID) && hasCapability(CAP_SETGID);
    return mayMap && mapsManyIds(readText("/proc/self/uid_map")) ? "identity" : "single";
  }
  return mayMapRange() ? "range" : "single";
}

/** Whether newuidmap and newgidmap would do it: their failure in the middle of a run would come too late. */
function mayMapRange(): boolean {
  const programs = newIdMapPrograms();
  if (programs === null || !mayGainPrivileges() || ![programs.uid, programs.gid].every(isPrivileged)) return false;
  const ranges = subordinateRanges();
  // in a container the machine's ids may be fewer than its /etc/subuid says
  return (
    ranges !== null &&
    mapHolds(readText("/proc/self/uid_map"), ranges.uids) &&
    mapHolds(readText("/proc/self/gid_map"), ranges.gids)
  );
}

/** Whether a program brings privileges with it: by its set-user-id bit, or by capabilities of its file. */
function isPrivileged(path: string): boolean {
  try {
    return (statSync(path).mode & 0o4000) !== 0 || getXattr(path, "security.capability") !== null;
  } catch {
    return false;
  }
}

/** How owners on disk look in contexts of an ordinary user with these ranges. */
export function rangeIds(ranges: { readonly uids: IdRange; readonly gids: IdRange }): StoreIdMaps {
  const map = (own: number, { start }: IdRange) => [
    { inside: 0, outside: own, count: 1 },
    { inside: 1, outside: start, count: RANGE_COUNT },
  ];
  const { uid, gid } = userInfo();
  return { uids: map(uid, ranges.uids), gids: map(gid, ranges.gids) };
}

/** Ranges of this user in /etc/subuid and /etc/subgid, or null when one is missing. */
export function subordinateRanges(): { readonly uids: IdRange; readonly gids: IdRange } | null {
  const { username, uid } = userInfo();
  // Bun takes the name from $USER, which a service has not
  const user = { name: nameOfUser(readText("/etc/passwd"), uid) ?? username, id: uid };
  const uids = findRange(readText("/etc/subuid"), user);
  const gids = findRange(readText("/etc/subgid"), user);
  return uids && gids ? { uids, gids } : null;
}

/** The setuid helpers of the package uidmap, or null when they are missing. */
export function newIdMapPrograms(): { readonly uid: string; readonly gid: string } | null {
  const find = (name: string) =>
    Bun.which(name) ?? [`/usr/bin/${name}`, `/bin/${name}`, `/usr/local/bin/${name}`].find((path) => existsSync(path));
  const uid = find("newuidmap");
  const gid = find("newgidmap");
  return uid && gid ? { uid, gid } : null;
}

/** Makes id maps, and keeps the namespace of the subordinate range open once it was needed. */
export class IdMaps {
  #identity: PreparedIdMap | null = null;
  #holder: Promise<number> | null = null;

  async prepare(kind: IdMapKind): Promise<PreparedIdMap> {
    const isRoot = process.getuid?.() === 0;
    switch (kind) {
      case "identity": {
        if (!isRoot) fail("context.unavailable", "Cannot keep the machine's user ids in a context: only root can");
        return (this.#identity ??= { namespaceFd: null, map: identityMap() });
      }
      case "single": {
        const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
        const map = {
          uidMap: `0 ${uid} 1`,
          gidMap: `0 ${gid} 1`,
          denySetgroups: true,
          insideNamespace: false,
          hasTtyGroup: false,
        };
        return { namespaceFd: null, map };
      }
      case "range": {
        if (isRoot) {
          const { uids = ROOT_RANGE, gids = ROOT_RANGE } = subordinateRanges() ?? {};
          const map = ({ start }: IdRange) => `0 0 1\n1 ${start} ${RANGE_COUNT}`;
          return { namespaceFd: null, map: privileged(map(uids), map(gids), false) };
        }
        const namespaceFd = await (this.#holder ??= openRangeNamespace());
        const same = `0 0 1\n1 1 ${RANGE_COUNT}`;
        return { namespaceFd, map: privileged(same, same, true) };
      }
    }
  }

  async close(): Promise<void> {
    const holder = this.#holder;
    this.#holder = null;
    if (holder !== null) closeSync(await holder);
  }
}

function identityMap(): IdMap {
  return privileged(sameIds(readText("/proc/self/uid_map")), sameIds(readText("/proc/self/gid_map")), false);
}

function privileged(uidMap: string, gidMap: string, insideNamespace: boolean): IdMap {
  return { uidMap, gidMap, denySetgroups: false, insideNamespace, hasTtyGroup: true };
}

/**
 * A user namespace lives while somebody holds a descriptor of it. So newuidmap and newgidmap, which cost a millisecond, run
 * once per mesh process on a process that waits; then only the descriptor is kept.
 */
async function openRangeNamespace(): Promise<number> {
  const ranges =
    subordinateRanges() ??
    fail("context.unavailable", "Cannot use subordinate ids: /etc/subuid or /etc/subgid has no range for this user");
  const programs =
    newIdMapPrograms() ??
    fail("context.unavailable", "Cannot use subordinate ids: newuidmap and newgidmap are not installed");
  const waiting = spawnImage(WAITING_NAMESPACE, { name: "mesh-user-namespace" });
  try {
    for await (const record of waiting.records()) {
      if (record.word !== PID_RECORD)
        fail("context.unavailable", `Cannot make a user namespace: ${waiting.describe(record)}`);
      break;
    }
    const { uid, gid } = userInfo();
    const map = async (program: string, own: number, range: IdRange) => {
      const argv = [program, String(waiting.pid), "0", String(own), "1", "1", String(range.start), String(RANGE_COUNT)];
      const child = Bun.spawn(argv, { stdio: ["ignore", "ignore", "pipe"] });
      const [code, words] = await Promise.all([child.exited, child.stderr.text()]);
      if (code !== 0)
        fail("context.unavailable", `Cannot map subordinate ids: ${words.trim() || `${program} exited with ${code}`}`);
    };
    await Promise.all([map(programs.uid, uid, ranges.uids), map(programs.gid, gid, ranges.gids)]);
    return openSync(`/proc/${waiting.pid}/ns/user`, "r");
  } finally {
    await waiting.end();
  }
}

const WAITING_NAMESPACE: SetupProgram = {
  variables: {},
  operations: [
    call("die with the parent", "prctl", [1, 9, 0, 0, 0]),
    call("make a user namespace", "unshare", [0x10000000]),
    call("report that it is made", "write", [REPORT_FD, bytes(words(PID_RECORD, 0)), 16]),
    call("wait", "read", [REPORT_FD, address("byte"), 1]),
    call("end", "exit_group", [0]),
  ],
};
