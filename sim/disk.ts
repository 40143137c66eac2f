// What a simulated machine keeps when its process ends: journals, results, outputs, and pieces of outputs that were on their way.

import type { PeerId } from "../src/base/ids.ts";
import type { Address } from "../src/mesh/peer-view.ts";
import type { RunEvent } from "../src/sched/run-event.ts";
import type { SimDefinition } from "./definition.ts";
import type { KeptResult } from "./message.ts";

export class Disk {
  readonly journals = new Map<string, RunEvent[]>();
  readonly definitions = new Map<string, SimDefinition>();
  readonly finished = new Set<string>();
  readonly results = new Map<string, KeptResult>();
  /** Those that are here as a whole. */
  readonly outputs = new Set<string>();
  /** Of each output that is not whole, the pieces that are here, and whether their bytes are the right ones. */
  readonly parts = new Map<string, Map<number, boolean>>();
  /** Where others were last seen to listen. */
  addresses: readonly { readonly peer: PeerId; readonly addresses: readonly Address[] }[] = [];
  /** Machines that it knows to be out of the mesh. */
  readonly revoked = new Set<PeerId>();
  isFull = false;
  /** Nothing can be read from it; what is asked for waits. */
  isStuck = false;
  /** How much longer everything takes. */
  slowness = 1;

  hasPiece(digest: string, piece: number): boolean {
    return this.outputs.has(digest) || this.parts.get(digest)?.has(piece) === true;
  }

  keepPiece(digest: string, piece: number, isRight: boolean): void {
    const parts = this.parts.get(digest) ?? new Map<number, boolean>();
    this.parts.set(digest, parts.set(piece, isRight));
  }

  /** All its pieces are here. */
  keepWhole(digest: string): void {
    this.outputs.add(digest);
    this.parts.delete(digest);
  }
}
