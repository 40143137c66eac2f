// A twin of the stub: walks the table of an emitted image as the machine code does, over system calls that a test answers.

import {
  BITS_FLAG,
  DATA_ADDRESS,
  DECIMAL_FLAG,
  FAILURE_ADDRESS,
  FIRST_ROW_ADDRESS,
  ROW,
} from "../../src/oci/runtime/stub.ts";
import type { Architecture } from "../../src/oci/runtime/syscalls.ts";

/** One call as the kernel would see it. */
export interface SeenCall {
  readonly number: number;
  readonly arguments: readonly bigint[];
}

/** Ends the walk: what exit_group or a successful execve does. */
export const ENDS = Symbol("ends");

export class FakeMachine {
  readonly #data: Uint8Array;
  readonly #view: DataView;
  readonly seen: SeenCall[] = [];

  constructor(image: Uint8Array, architecture: Architecture) {
    this.#data = image.slice(architecture === "x64" ? 0x1000 : 0x10000);
    this.#view = new DataView(this.#data.buffer);
  }

  /** Performs rows until `answer` ends it; `answer` gives the result of a call, negative for an errno. */
  run(answer: (call: SeenCall, machine: FakeMachine) => number | typeof ENDS, mostRows = 10_000): void {
    let row = FIRST_ROW_ADDRESS;
    for (let count = 0; count < mostRows; count++) {
      const flags = this.#view.getUint32(row - DATA_ADDRESS + ROW.flags, true);
      const args = Array.from({ length: 6 }, (_, index) => {
        const word = this.word(row + ROW.arguments + 8 * index);
        return (flags >> index) & 1 ? this.word(Number(word)) : word;
      });
      const result = this.#perform(row, flags, args, answer);
      if (result === ENDS) return;
      this.#store(Number(this.word(row + ROW.result)), result);
      if (result < 0n && result >= -4095n) {
        this.#store(FAILURE_ADDRESS, BigInt(row));
        this.#store(FAILURE_ADDRESS + 8, result);
        row = Number(this.word(row + ROW.onError));
      } else if (result === this.word(Number(this.word(row + ROW.match)))) row = Number(this.word(row + ROW.onMatch));
      else row = Number(this.word(row + ROW.next));
    }
    throw new Error(`no end after ${mostRows} rows`);
  }

  /** Eight bytes at an address, signed. */
  word(address: number): bigint {
    return this.#view.getBigInt64(address - DATA_ADDRESS, true);
  }

  bytes(address: number, length: number): Uint8Array {
    return this.#data.slice(address - DATA_ADDRESS, address - DATA_ADDRESS + length);
  }

  /** Text up to its zero. */
  text(address: number): string {
    const start = address - DATA_ADDRESS;
    return new TextDecoder().decode(this.#data.subarray(start, this.#data.indexOf(0, start)));
  }

  #perform(
    row: number,
    flags: number,
    args: readonly bigint[],
    answer: (call: SeenCall, machine: FakeMachine) => number | typeof ENDS,
  ): bigint | typeof ENDS {
    const [first = 0n, second = 0n] = args;
    if (flags & BITS_FLAG) return first & second;
    if (flags & DECIMAL_FLAG) {
      const digits = new TextEncoder().encode(String(first));
      this.#data.set(digits, Number(second) - digits.length - DATA_ADDRESS);
      return second - BigInt(digits.length);
    }
    const call = { number: this.#view.getUint32(row - DATA_ADDRESS + ROW.number, true), arguments: args };
    this.seen.push(call);
    const result = answer(call, this);
    return result === ENDS ? ENDS : BigInt(result);
  }

  #store(address: number, word: bigint): void {
    this.#view.setBigInt64(address - DATA_ADDRESS, word, true);
  }
}
