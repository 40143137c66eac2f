// The machines of the mesh as a table: for `mesh nodes`, and again and again for `mesh top` and `mesh join`.

import { printable } from "../../base/text.ts";
import { formatBytes } from "../../base/units.ts";
import type { PeerView } from "../../mesh/peer-view.ts";
import { type Column, tableLines } from "../text/columns.ts";
import {
  addressWords,
  cpuWords,
  foundWords,
  gpuWords,
  memoryWords,
  remarkWords,
  stateSign,
  untilWords,
} from "../text/mesh-words.ts";
import type { Style } from "../text/style.ts";

interface NodeColumn extends Column {
  readonly wide?: true;
  readonly cell: (peer: PeerView, style: Style) => string;
}

const COLUMNS: readonly NodeColumn[] = [
  { title: " ", cell: stateSign },
  { title: "NAME", most: 24, cell: ({ name, state }) => printable(name) + (state === "self" ? " (here)" : "") },
  { title: "ADDRESS", cell: ({ addresses }) => addresses.slice(0, 1).map(addressWords).join("") },
  { title: "ROLES", wide: true, cell: ({ roles }) => roles.join(",") },
  {
    title: "SYSTEM",
    wide: true,
    cell: ({ snapshot }) =>
      snapshot === null ? "" : `${printable(snapshot.capacity.os)}/${printable(snapshot.capacity.arch)}`,
  },
  { title: "CPUS FREE", align: "right", cell: cpuWords },
  { title: "MEMORY FREE", align: "right", cell: memoryWords },
  { title: "GPUS FREE", most: 40, cell: gpuWords },
  {
    title: "LOAD",
    align: "right",
    cell: ({ snapshot }) => (snapshot === null ? "" : `${snapshot.cpuPercent} %`),
  },
  { title: "TASKS", align: "right", cell: ({ snapshot }) => String(snapshot?.runningTasks ?? "") },
  {
    title: "BLOBS",
    align: "right",
    wide: true,
    cell: ({ snapshot }) => (snapshot === null ? "" : `${snapshot.blobs.count} (${formatBytes(snapshot.blobs.bytes)})`),
  },
  {
    title: "LATENCY",
    align: "right",
    cell: ({ latencyMs }) => (latencyMs === null ? "" : `${latencyMs.toFixed(latencyMs < 10 ? 1 : 0)} ms`),
  },
  { title: "VERSION", wide: true, cell: ({ version }) => printable(version ?? "") },
  { title: "MEMBER UNTIL", cell: untilWords },
  { title: "FOUND BY", wide: true, cell: ({ foundBy }) => foundWords(foundBy) },
  {
    title: "LABELS",
    wide: true,
    most: 30,
    cell: ({ snapshot }) => printable(snapshot?.capacity.labels.join(",") ?? ""),
  },
  { title: "", most: 60, cell: (peer, style) => style.yellow(remarkWords(peer)) },
];

/** Lines of the table, its titles first. A column that is empty for every machine is left out. */
export function nodeTable(
  peers: readonly PeerView[],
  options: { readonly style: Style; readonly wide: boolean },
): readonly string[] {
  const { style, wide } = options;
  const shown = COLUMNS.filter((column) => wide || column.wide !== true).flatMap((column) => {
    const cells = peers.map((peer) => column.cell(peer, style));
    return cells.every((cell) => cell === "") ? [] : [{ column, cells }];
  });
  return tableLines(
    shown.map(({ column }) => column),
    peers.map((_, row) => shown.map(({ cells }) => cells[row] ?? "")),
    style.dim,
  );
}

/** What all machines that are up have, together. */
export interface MeshTotals {
  readonly members: number;
  readonly up: number;
  readonly cpuMilli: { readonly free: number; readonly total: number };
  readonly memoryBytes: { readonly free: number; readonly total: number };
  readonly gpus: { readonly free: number; readonly total: number };
  readonly runningTasks: number;
  /** Counted once on each machine that has them. */
  readonly blobs: { readonly count: number; readonly bytes: number };
}

export function meshTotals(peers: readonly PeerView[]): MeshTotals {
  const up = peers.filter(({ state }) => state === "up" || state === "self");
  const snapshots = up.flatMap(({ snapshot }) => (snapshot === null ? [] : [snapshot]));
  const sum = (amount: (snapshot: (typeof snapshots)[number]) => number) =>
    snapshots.reduce((total, snapshot) => total + amount(snapshot), 0);
  return {
    members: peers.filter(({ state }) => state !== "revoked").length,
    up: up.length,
    cpuMilli: {
      free: sum(({ capacity }) => capacity.free.cpuMilli),
      total: sum(({ capacity }) => capacity.total.cpuMilli),
    },
    memoryBytes: {
      free: sum(({ capacity }) => capacity.free.memoryBytes),
      total: sum(({ capacity }) => capacity.total.memoryBytes),
    },
    gpus: {
      free: sum(({ capacity }) => capacity.gpus.filter(({ inUse }) => !inUse).length),
      total: sum(({ capacity }) => capacity.gpus.length),
    },
    runningTasks: sum(({ runningTasks }) => runningTasks),
    blobs: { count: sum(({ blobs }) => blobs.count), bytes: sum(({ blobs }) => blobs.bytes) },
  };
}
