// The words of one command line after they were checked against the command's spec. Asking for a flag that the spec does not
// have is a bug and crashes.

import { assert } from "../../base/assert.ts";

export class Arguments {
  readonly #values: ReadonlyMap<string, readonly string[]>;
  readonly #known: ReadonlySet<string>;
  /** What stands beside the flags, in order. */
  readonly words: readonly string[];

  constructor(values: ReadonlyMap<string, readonly string[]>, words: readonly string[], known: ReadonlySet<string>) {
    this.#values = values;
    this.words = words;
    this.#known = known;
  }

  /** Whether a switch is given. */
  on(flag: string): boolean {
    return this.#read(flag).length > 0;
  }

  /** The last value given for a flag, or null. */
  text(flag: string): string | null {
    return this.#read(flag).at(-1) ?? null;
  }

  /** All values given for a flag that repeats. */
  texts(flag: string): readonly string[] {
    return this.#read(flag);
  }

  /** A whole number; the parser has checked its digits. */
  integer(flag: string): number | null {
    const text = this.text(flag);
    return text === null ? null : Number(text);
  }

  #read(flag: string): readonly string[] {
    assert(this.#known.has(flag), `flag --${flag} is not in the command's spec`);
    return this.#values.get(flag) ?? [];
  }
}
