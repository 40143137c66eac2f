// Who goes where: one round of placing ready tasks on machines that fit, as a list of assignments. Pure and
// deterministic; the machines' own ledgers have the last word, so an assignment is an offer.

import { type Ask, askShape } from "./ask.ts";
import { fits, type NodeCapacity, usableGpus } from "./fit.ts";
import { Heap } from "./heap.ts";
import { compareReady, type Lane, type Ready } from "./ready-queue.ts";
import { likelyMs } from "./task-node.ts";

/** A machine as a coordinator sees it. */
export interface PlaceNode {
  readonly capacity: NodeCapacity;
  /** Speed in percent of a plain machine, learnt from history; 100 where nothing is known. Integer > 0. */
  readonly speedPercent: number;
  /** What can be moved to it. Integer > 0. */
  readonly bytesPerMs: number;
}

export interface Round {
  /** From the run machine's ready queue; from several runs' queues, one after another. */
  readonly lanes: readonly Lane[];
  readonly nodes: readonly PlaceNode[];
  /** Bytes of a task's input that a machine does not have. Must be pure for the length of the round. */
  readonly missingBytes: (key: string, node: string) => number;
  /** Tasks that are being offered already. */
  readonly offered: ReadonlySet<string>;
  /** Most assignments of this round. */
  readonly most: number;
  readonly nowMs: number;
  /** A task that has been ready for longer than this keeps the machine it could have free of others. */
  readonly reserveAfterMs: number;
}

export interface Assignment {
  readonly key: string;
  readonly attempt: number;
  readonly node: string;
  readonly score: Score;
}

/** What a task costs on a machine, in milliseconds or what is worth as much; the least total wins, ties go by name. */
export interface Score {
  readonly totalMs: number;
  /** Moving what the machine lacks. */
  readonly moveMs: number;
  /** Running, at the machine's speed. */
  readonly runMs: number;
  /** What the tasks that run there already slow it down. */
  readonly loadMs: number;
  /** Waste: GPUs that stand idle beside the task, and room too small to be of use afterwards. */
  readonly wasteMs: number;
}

/** Decides one round: most urgent task first, each to the machine where it costs least. */
export function place(round: Round): readonly Assignment[] {
  const nodes = round.nodes
    .map((node) => new RoomOnNode(node))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const fronts = new Heap<Front>((a, b) => compareReady(a.head, b.head));
  for (const lane of round.lanes) advance(new Front(lane), round.offered, fronts);
  const assignments: Assignment[] = [];
  while (assignments.length < round.most) {
    const front = fronts.pop();
    if (front === undefined) break;
    const ready = front.head;
    const best = bestNode(ready, front, nodes, round);
    if (best === null) {
      // Nothing else of its shape fits either: the lane is done for this round.
      if (round.nowMs - ready.readyAtMs > round.reserveAfterMs) reserve(front.ask, nodes);
      continue;
    }
    best.node.take(front.ask);
    assignments.push({ key: ready.key, attempt: ready.attempt, node: best.node.name, score: best.score });
    advance(front, round.offered, fronts);
  }
  return assignments;
}

/** What a task would cost on a machine that fits. */
export function score(
  ready: Pick<Ready, "key" | "expectedMs">,
  ask: Ask,
  node: PlaceNode,
  missingBytes: number,
): Score {
  const { total, free } = node.capacity;
  const moveMs = Math.ceil(missingBytes / node.bytesPerMs);
  const runMs = Math.round((likelyMs(ready) * 100) / node.speedPercent);
  const busyPercent = total.cpuMilli === 0 ? 0 : Math.round(((total.cpuMilli - free.cpuMilli) * 100) / total.cpuMilli);
  // A fully busy machine shares caches and memory bandwidth: worth a quarter of the running time.
  const loadMs = Math.round((runMs * busyPercent) / 400);
  const wasteMs = wasteOf(ask, node.capacity, runMs);
  return { totalMs: moveMs + runMs + loadMs + wasteMs, moveMs, runMs, loadMs, wasteMs };
}

/** A task that asks for no GPU keeps others from those of the machine; a machine left lopsided is of little use to the next. */
function wasteOf(ask: Ask, node: NodeCapacity, runMs: number): number {
  const idleGpus = ask.gpus === 0 && node.gpus.length > 0 ? runMs : 0;
  const cpuLeft = percentOf(node.free.cpuMilli - ask.cpuMilli, node.total.cpuMilli);
  const memoryLeft = percentOf(node.free.memoryBytes - ask.memoryBytes, node.total.memoryBytes);
  return idleGpus + Math.round((runMs * Math.abs(cpuLeft - memoryLeft)) / 1_000);
}

function percentOf(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part * 100) / whole);
}

interface Best {
  readonly node: RoomOnNode;
  readonly score: Score;
}

function bestNode(ready: Ready, { ask, shape }: Front, nodes: readonly RoomOnNode[], round: Round): Best | null {
  let best: Best | null = null;
  for (const node of nodes) {
    if (node.reserved || !node.fits(ask, shape)) continue;
    const cost = score(ready, ask, node.seen, round.missingBytes(ready.key, node.name));
    if (best === null || cost.totalMs < best.score.totalMs) best = { node, score: cost };
  }
  return best;
}

/** Keeps the machine that comes nearest to being free enough out of this round, so that a big task is not starved by small ones. */
function reserve(ask: Ask, nodes: readonly RoomOnNode[]): void {
  let kept: RoomOnNode | null = null;
  for (const node of nodes) {
    if (node.reserved || !node.couldEverFit(ask)) continue;
    if (kept === null || node.seen.capacity.free.cpuMilli > kept.seen.capacity.free.cpuMilli) kept = node;
  }
  if (kept !== null) kept.reserved = true;
}

/** Moves a lane to its next task that nobody offers yet, and back among the others. */
function advance(front: Front, offered: ReadonlySet<string>, fronts: Heap<Front>): void {
  if (front.next(offered)) fronts.push(front);
}

/** A lane and the task of it whose turn it is. */
class Front {
  readonly ask: Ask;
  readonly shape: string;
  readonly #tasks: Iterator<Ready>;
  #head: Ready | null = null;

  constructor(lane: Lane) {
    this.ask = lane.ask;
    this.shape = askShape(lane.ask);
    this.#tasks = lane.inOrder()[Symbol.iterator]();
  }

  get head(): Ready {
    if (this.#head === null) throw new Error("Bug: a lane without a task stands in the round");
    return this.#head;
  }

  next(offered: ReadonlySet<string>): boolean {
    for (let step = this.#tasks.next(); step.done !== true; step = this.#tasks.next()) {
      if (offered.has(step.value.key)) continue;
      this.#head = step.value;
      return true;
    }
    return false;
  }
}

/** A machine's room during one round: what the round's own assignments take is taken off. */
class RoomOnNode {
  seen: PlaceNode;
  reserved = false;
  /** Shapes found not to fit; room only shrinks within a round. */
  readonly #refused = new Set<string>();

  constructor(node: PlaceNode) {
    this.seen = node;
  }

  get name(): string {
    return this.seen.capacity.name;
  }

  fits(ask: Ask, shape: string): boolean {
    if (this.#refused.has(shape)) return false;
    const fit = fits(ask, this.seen.capacity).fits;
    if (!fit) this.#refused.add(shape);
    return fit;
  }

  couldEverFit(ask: Ask): boolean {
    const fit = fits(ask, this.seen.capacity);
    return fit.fits || fit.ever;
  }

  take(ask: Ask): void {
    const { capacity } = this.seen;
    const taken = new Set(ask.gpus === 0 ? [] : usableGpus(ask, capacity.gpus).slice(0, ask.gpus));
    const gpus = capacity.gpus.map((gpu) => {
      if (!taken.has(gpu)) return gpu;
      const freeMemoryBytes = ask.gpuMemoryBytes > 0 ? gpu.freeMemoryBytes - ask.gpuMemoryBytes : 0;
      return { ...gpu, freeMemoryBytes, inUse: true };
    });
    const free = {
      cpuMilli: capacity.free.cpuMilli - ask.cpuMilli,
      memoryBytes: capacity.free.memoryBytes - ask.memoryBytes,
      diskBytes: capacity.free.diskBytes - ask.diskBytes,
    };
    this.seen = { ...this.seen, capacity: { ...capacity, free, gpus } };
  }
}
