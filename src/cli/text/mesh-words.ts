// Words about the mesh that several commands share.

import { type Digest, hexOf } from "../../base/digest.ts";
import { shortPeer } from "../../base/ids.ts";
import { printable } from "../../base/text.ts";
import { formatBytes, formatCpus, formatDuration } from "../../base/units.ts";
import type { Address, FoundBy, PeerView } from "../../mesh/peer-view.ts";
import type { Invite, Membership } from "../../node/node-service.ts";
import type { Style } from "./style.ts";
import { shellLine } from "./words.ts";

/** "mesh 1a2b3c4d": enough to tell two meshes apart. */
export function meshWords(mesh: Digest): string {
  return `mesh ${hexOf(mesh).slice(0, 8)}`;
}

/** "10.0.0.7:7433", "[fe80::1%eth0]:7433". */
export function addressWords({ host, port }: Address): string {
  return host.includes(":") ? `[${printable(host)}]:${port}` : `${printable(host)}:${port}`;
}

export function membershipJson({ id, name, mesh, roles }: Membership): object {
  return { id, name, mesh, roles };
}

/** What to type on the other machine. */
export function inviteLines(invite: Invite, addresses: readonly Address[], nowMs: number): readonly string[] {
  const [address] = addresses;
  return [
    `On the other machine, within ${formatDuration(Math.max(0, invite.expiresAtMs - nowMs))}:`,
    "",
    `    ${shellLine(["mesh", "join", invite.code])}`,
    "",
    ...(address === undefined
      ? []
      : [`Where multicast does not reach: ${shellLine(["mesh", "join", addressWords(address), invite.code])}`]),
  ];
}

/** The documented JSON of a machine. */
export function nodeJson(peer: PeerView): object {
  const { id, name, roles, state, reason, addresses, foundBy, latencyMs, version, lastSeenAtMs, snapshot } = peer;
  return {
    id,
    name,
    roles,
    state,
    reason,
    addresses: addresses.map(addressWords),
    foundBy,
    latencyMs,
    version,
    memberUntil: peer.memberUntilMs === undefined ? null : new Date(peer.memberUntilMs).toISOString(),
    lastSeenAt: lastSeenAtMs === null ? null : new Date(lastSeenAtMs).toISOString(),
    os: snapshot?.capacity.os ?? null,
    arch: snapshot?.capacity.arch ?? null,
    labels: snapshot?.capacity.labels ?? [],
    total: snapshot?.capacity.total ?? null,
    free: snapshot?.capacity.free ?? null,
    gpus: gpusJson(peer),
    cpuPercent: snapshot?.cpuPercent ?? null,
    speedPercent: snapshot?.speedPercent ?? null,
    runningTasks: snapshot?.runningTasks ?? null,
    blobs: snapshot?.blobs ?? null,
    draining: snapshot?.draining ?? null,
  };
}

function gpusJson({ snapshot }: PeerView): readonly object[] {
  return (snapshot?.capacity.gpus ?? []).map(({ index, memoryBytes, freeMemoryBytes, inUse }) => ({
    index,
    model: snapshot?.gpuModels.find((gpu) => gpu.index === index)?.model ?? null,
    memoryBytes,
    freeMemoryBytes,
    inUse,
  }));
}

const FOUND_WORDS: Readonly<Record<FoundBy, string>> = {
  mdns: "mDNS",
  given: "address given",
  incoming: "it came here",
  peer: "told by a peer",
  remembered: "remembered",
};

export function foundWords(found: FoundBy | null): string {
  return found === null ? "" : FOUND_WORDS[found];
}

/** "●" up, "◌" silent, "○" missing, "✗" revoked. */
export function stateSign({ state }: PeerView, style: Style): string {
  switch (state) {
    case "self":
    case "up":
      return style.green("●");
    case "suspect":
      return style.yellow("◌");
    case "down":
      return style.red("○");
    case "revoked":
      return style.red("✗");
  }
}

/** "1.5/4": free of all CPUs. */
export function cpuWords({ snapshot }: PeerView): string {
  if (snapshot === null) return "";
  const { free, total } = snapshot.capacity;
  return `${formatCpus(free.cpuMilli)}/${formatCpus(total.cpuMilli)}`;
}

/** "12/16 GiB": free of all memory. */
export function memoryWords({ snapshot }: PeerView): string {
  if (snapshot === null) return "";
  const { free, total } = snapshot.capacity;
  return `${formatBytes(free.memoryBytes)}/${formatBytes(total.memoryBytes)}`;
}

/** "1/2 h100 80 GiB": free of all GPUs of each model. */
export function gpuWords({ snapshot }: PeerView): string {
  if (snapshot === null) return "";
  const models = new Map<string, { free: number; all: number }>();
  for (const gpu of snapshot.capacity.gpus) {
    const model = snapshot.gpuModels.find(({ index }) => index === gpu.index)?.model ?? "GPU";
    const name = `${printable(model)} ${formatBytes(gpu.memoryBytes)}`;
    const count = models.get(name) ?? { free: 0, all: 0 };
    count.all++;
    if (!gpu.inUse) count.free++;
    models.set(name, count);
  }
  return [...models].map(([name, { free, all }]) => `${free}/${all} ${name}`).join(", ");
}

/** "2026-11-26 03:30Z": when its grant ends by itself; empty when it does not. */
export function untilWords({ memberUntilMs }: PeerView): string {
  return memberUntilMs === undefined
    ? ""
    : new Date(memberUntilMs)
        .toISOString()
        .replace("T", " ")
        .replace(/:[^:]*$/, "Z");
}

/** Why a machine is not simply there; empty when it is. */
export function remarkWords(peer: PeerView): string {
  if (peer.state !== "up" && peer.state !== "self") return printable(peer.reason ?? peer.state);
  return peer.snapshot?.draining === true ? "draining" : "";
}

/** "desk (1a2b3c4d)". */
export function peerWords({ name, id }: Pick<PeerView, "name" | "id">): string {
  return `${printable(name)} (${shortPeer(id)})`;
}
