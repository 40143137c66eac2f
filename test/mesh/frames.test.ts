// Frames out of bytes that come in any pieces, and out of bytes that are no frames.

import { describe, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { LIMITS } from "../../src/base/limits.ts";
import { BODY_BYTES, FRAME, type Frame, frameHead, FrameReader, valueFrame } from "../../src/mesh/frames.ts";
import { unpackValue } from "../../src/mesh/wire-value.ts";
import { SeededRandom } from "../fake/seeded-random.ts";

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Cuts bytes into pieces of random sizes. */
function* pieces(bytes: Uint8Array, random: SeededRandom, most: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.below(most);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

function readAll(chunks: Iterable<Uint8Array>): Frame[] {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  for (const chunk of chunks) reader.push(chunk, (frame) => frames.push(frame));
  return frames;
}

describe("FrameReader", () => {
  const value = { text: "é".repeat(10_000), list: [1, 2, 3] };
  const stream = joined(
    valueFrame(FRAME.call, 1, value),
    frameHead(FRAME.ping, 0xffff_ffff, 0),
    frameHead(FRAME.data, 7, 50_000),
    new Uint8Array(50_000).fill(9),
    valueFrame(FRAME.word, 0, "last"),
  );

  test("push() gives the same frames however the bytes are cut", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = new SeededRandom(seed);
      const frames = readAll(pieces(stream, random, seed < 20 ? 3 : 40_000));
      const data = frames.filter(({ kind }) => kind === FRAME.data);
      const others = frames.filter(({ kind }) => kind !== FRAME.data);
      expect(others.map(({ kind, id }) => [kind, id])).toEqual([
        [FRAME.call, 1],
        [FRAME.ping, 0xffff_ffff],
        [FRAME.word, 0],
      ]);
      expect(unpackValue(others[0]!.body)).toEqual(value);
      expect(unpackValue(others[2]!.body)).toBe("last");
      expect(data.every(({ id }) => id === 7)).toBe(true);
      expect(joined(...data.map(({ body }) => body))).toEqual(new Uint8Array(50_000).fill(9));
    }
  });

  test("push() passes pieces of data on without a copy", () => {
    const chunk = joined(frameHead(FRAME.data, 1, 100_000), new Uint8Array(99_900));
    const [piece] = readAll([chunk]);
    expect(piece!.body.buffer).toBe(chunk.buffer);
  });

  test("push() refuses a length over the limit as soon as the head is there", () => {
    const head = frameHead(FRAME.call, 1, BODY_BYTES + 1);
    expect(() => readAll([head])).toThrow(`Cannot take a frame of ${BODY_BYTES + 1} bytes`);
  });

  test("a head that promises much makes the reader hold little", () => {
    const reader = new FrameReader();
    reader.push(joined(frameHead(FRAME.call, 1, BODY_BYTES), new Uint8Array(10)), () => undefined);
    expect(reader.heldBytes).toBeLessThanOrEqual(4_096);
    expect(reader.isInside).toBe(true);
  });
});

test("valueFrame() refuses a value that is too large for a frame", () => {
  expect(() => valueFrame(FRAME.call, 1, new Uint8Array(LIMITS.frameBytes))).toThrow("Cannot send a message of");
});

test("1,000,000 random frames and pieces: no crash, and no more held than a frame", () => {
  const seed = Number(process.env["MESH_TEST_SEED"] ?? 20_261_125);
  const random = new SeededRandom(seed);
  const kinds = [...Object.values(FRAME), 0, 99, 0x80, 0xff];
  const scrap = Uint8Array.from({ length: 70_000 }, () => random.below(256));
  const whole = valueFrame(FRAME.word, 0, ["a word", { among: ["much", "noise"] }]);
  let reader = new FrameReader();
  const counts = { frames: 0, values: 0, refusals: 0 };
  for (let round = 0; round < 1_000_000; round++) {
    const length = random.below(20) === 0 ? random.below(0x1000000) : random.below(64);
    const size = Math.min(length, random.below(40) === 0 ? 60_000 : 64);
    const at = random.below(5_000);
    const kind = kinds[random.below(kinds.length)] ?? 0;
    try {
      if (!reader.isInside && random.below(10) === 0) reader.push(whole, take);
      reader.push(frameHead(kind, random.below(100), length), take);
      reader.push(scrap.subarray(at, at + size), take);
    } catch (error) {
      if (!(error instanceof MeshError)) throw new Error(`MESH_TEST_SEED=${seed}, round ${round}`, { cause: error });
      counts.refusals++;
      reader = new FrameReader();
    }
    if (reader.heldBytes > LIMITS.frameBytes)
      throw new Error(`MESH_TEST_SEED=${seed}, round ${round}: ${reader.heldBytes} held`);
  }
  expect(counts.frames).toBeGreaterThan(100_000);
  expect(counts.values).toBeGreaterThan(1_000);
  expect(counts.refusals).toBeGreaterThan(10_000);

  function take({ kind, body }: Frame): void {
    counts.frames++;
    if (kind === FRAME.data) return;
    unpackValue(body);
    counts.values++;
  }
}, 60_000);
