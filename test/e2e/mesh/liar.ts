// A member of a mesh that behaves as no node does, over the keys and the roster of a real one. Run as a program:
// `liar.ts FOLDER absurd|boasting|flooding`. Each goes on until it is killed.

import type { NodeSnapshot } from "../../../src/mesh/peer-view.ts";
import { type Mesh, openMesh } from "../../../src/mesh/io/mesh.ts";

const HUGE = 10 ** 15;

const WAYS: Readonly<Record<string, (mesh: Mesh) => Promise<void>>> = {
  /** Amounts that are none: whoever reads one closes the connection, and the liar comes again with the next. */
  absurd: async (mesh) => {
    for (let at = 0; ; at = (at + 1) % 4) {
      mesh.publish(boast([Number.NaN, -1, 1e308, Number.POSITIVE_INFINITY][at] ?? 0));
      await Bun.sleep(20);
    }
  },
  /** More of everything than any machine has, for which it does nothing. */
  boasting: async (mesh) => {
    for (;;) {
      mesh.publish(boast(HUGE));
      await Bun.sleep(200);
    }
  },
  /** Words, calls and streams without end, all of which the others know, and no answer is waited for. */
  flooding: async (mesh) => {
    for (;;) {
      for (const { id, state } of mesh.list()) {
        if (state !== "up") continue;
        for (let each = 0; each < 200; each++) {
          mesh.tell(id, "content.word", { kind: "got", key: "x", piece: each });
          mesh.call(id, "run.list", {}, { timeoutMs: 1_000 }).catch(() => undefined);
        }
      }
      await Bun.sleep(1);
    }
  },
};

function boast(amount: number): NodeSnapshot {
  const amounts = { cpuMilli: amount, memoryBytes: amount, diskBytes: amount };
  const capacity = { name: "x", os: "linux", arch: "x86_64", labels: [], baseKeys: [], gpus: [] };
  return {
    capacity: { ...capacity, total: amounts, free: amounts },
    gpuModels: [],
    cpuPercent: 0,
    runningTasks: 0,
    blobs: { count: 0, bytes: 0 },
    draining: false,
    speedPercent: 1_000,
  };
}

const [folder = "", way = ""] = process.argv.slice(2);
const mesh = await openMesh({ folder, version: "0.0.0", port: "any" });
console.log("begun");
await WAYS[way]?.(mesh);
