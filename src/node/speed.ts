// How fast one core of this machine is beside those of other machines: how long it takes to pack a fixed text, at best. It says nothing
// about memory, disks or GPUs, and is only as fine as placing needs it.

/** What a core that counts as 100 percent takes for a round, in milliseconds: about one of a server of 2023 (AMD Zen 4). */
const REFERENCE_MS = 0.15;
const SAMPLE_WORDS = 8_192;
/** Rounds of the first measurement, which ends in any case after `MOST_MS`; on a busy machine most of them are disturbed. */
const ROUNDS = 60;
const MOST_MS = 40;
/** A machine that was busy then looks again: so many rounds, so often, so many times. */
const LATER_ROUNDS = 3;
const LATER_MS = 1_000;
const LATER_TIMES = 60;
/** Each step is a quarter more than the one before: finer differences come from what else runs. */
const STEP = 1.25;
const MOST_PERCENT = 1_000;

export class SpeedMeter {
  readonly #nowMs: () => number;
  readonly #sample = sampleText();
  #bestMs = Number.POSITIVE_INFINITY;
  #lookedAtMs: number | null = null;
  #looks = 0;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** In percent of the reference. The first call takes about 10 ms, and one a second half a millisecond for a minute. */
  percent(): number {
    const nowMs = this.#nowMs();
    if (this.#lookedAtMs === null) this.#measure(ROUNDS);
    else if (nowMs - this.#lookedAtMs >= LATER_MS && this.#looks < LATER_TIMES) {
      this.#looks++;
      this.#measure(LATER_ROUNDS);
    }
    const ratio = Math.min(MOST_PERCENT / 100, REFERENCE_MS / Math.max(this.#bestMs, 1e-3));
    return Math.max(1, Math.round(100 * STEP ** Math.round(Math.log(ratio) / Math.log(STEP))));
  }

  /** The fastest round decides: nothing makes a core faster than it is. */
  #measure(rounds: number): void {
    const startedMs = this.#nowMs();
    let beganMs = startedMs;
    for (let round = 0; round < rounds && beganMs - startedMs < MOST_MS; round++) {
      // Of the runtime's own code: what is written here would be measured before it is compiled.
      Bun.deflateSync(this.#sample, { level: 6 });
      const endedMs = this.#nowMs();
      this.#bestMs = Math.min(this.#bestMs, endedMs - beganMs);
      beganMs = endedMs;
    }
    this.#lookedAtMs = beganMs;
  }
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
