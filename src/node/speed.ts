// How fast one core of this machine is beside those of other machines: measured by a piece of plain work, once for a process. It says
// nothing about memory, disks or GPUs, and is only as fine as placing needs it.

/** What a core that counts as 100 percent takes to pack the sample, in milliseconds: about one of a server of 2023 (AMD Zen 4). */
const REFERENCE_MS = 0.15;
const SAMPLE_WORDS = 8_192;
const MEASURED_MS = 10;
/** Each step is a tenth more than the one before: finer differences come from what else runs. */
const STEP = 1.1;
const MOST_PERCENT = 1_000;

let measured: number | null = null;

/** In percent of the reference; the first call takes 10 ms. */
export function ownSpeedPercent(): number {
  measured ??= measureSpeed();
  return measured;
}

/** The fastest of several rounds decides, as the others were disturbed. */
export function measureSpeed(nowMs: () => number = () => performance.now()): number {
  const sample = sampleText();
  let bestMs = Number.POSITIVE_INFINITY;
  const startedMs = nowMs();
  for (let beganMs = startedMs; beganMs - startedMs < MEASURED_MS;) {
    // Of the runtime's own code: what is written here would be measured before it is compiled.
    Bun.deflateSync(sample, { level: 6 });
    const endedMs = nowMs();
    bestMs = Math.min(bestMs, endedMs - beganMs);
    beganMs = endedMs;
  }
  const ratio = Math.min(MOST_PERCENT / 100, REFERENCE_MS / Math.max(bestMs, 1e-3));
  return Math.max(1, Math.round(100 * STEP ** Math.round(Math.log(ratio) / Math.log(STEP))));
}

/** Words that come again and again, the same on every machine. */
function sampleText(): Uint8Array<ArrayBuffer> {
  const words = new Uint16Array(SAMPLE_WORDS);
  let state = 1;
  for (let at = 0; at < SAMPLE_WORDS; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    words[at] = 0x6161 + (((state >>> 16) % 26) | ((((state >>> 21) % 7) * (at % 3)) << 8));
  }
  return new Uint8Array(words.buffer);
}
