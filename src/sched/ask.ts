// What a task asks of a machine: amounts that are leased while it runs, and traits that the machine must have.
// It never looks at a machine (fit.ts does) and never parses text (base/units.ts does).

export interface Ask {
  /** Thousandths of a CPU. Integer >= 0. */
  readonly cpuMilli: number;
  /** Bytes of memory. Integer >= 0. */
  readonly memoryBytes: number;
  /** Bytes of scratch disk. Integer >= 0; 0 where the task does not say. */
  readonly diskBytes: number;
  /** Number of GPUs, each a different one. */
  readonly gpus: number;
  /** Bytes of memory on each of those GPUs, shared with other tasks; 0 leases every one of them whole. */
  readonly gpuMemoryBytes: number;
  /** "linux", "darwin", "windows"; null for any. */
  readonly os: string | null;
  /** "x64", "arm64"; null for any. */
  readonly arch: string | null;
  /** Labels that the machine must carry, sorted and unique. */
  readonly labels: readonly string[];
  /** Name of the one machine it must run on; null for any. */
  readonly node: string | null;
  /** Key of a base that only some machines have (the `host` base); null when the base travels. */
  readonly baseKey: string | null;
}

const NOTHING: Ask = {
  cpuMilli: 0,
  memoryBytes: 0,
  diskBytes: 0,
  gpus: 0,
  gpuMemoryBytes: 0,
  os: null,
  arch: null,
  labels: [],
  node: null,
  baseKey: null,
};

/** Completes an ask: what is absent is not asked for. GPU memory without a number of GPUs means one GPU. */
export function makeAsk(given: Partial<Ask>): Ask {
  const ask = { ...NOTHING, ...given };
  return {
    ...ask,
    gpus: ask.gpuMemoryBytes > 0 ? Math.max(1, ask.gpus) : ask.gpus,
    labels: [...new Set(ask.labels)].sort(),
  };
}

/** One text for equal asks: tasks of one shape fit, or fail to fit, together. */
export function askShape(ask: Ask): string {
  const amounts = `${ask.cpuMilli} ${ask.memoryBytes} ${ask.diskBytes} ${ask.gpus} ${ask.gpuMemoryBytes}`;
  if (ask.os === null && ask.arch === null && ask.node === null && ask.baseKey === null && ask.labels.length === 0)
    return amounts;
  return `${amounts} ${JSON.stringify([ask.os, ask.arch, ask.node, ask.baseKey, ask.labels])}`;
}
