// An Output that keeps what was written.

import type { Output } from "../../../src/cli/output.ts";

export class FakeOutput implements Output {
  readonly isTerminal: boolean;
  closed = false;
  readonly #chunks: string[] = [];

  constructor(isTerminal = false) {
    this.isTerminal = isTerminal;
  }

  get text(): string {
    return this.#chunks.join("");
  }

  write(content: string | Uint8Array): void {
    this.#chunks.push(typeof content === "string" ? content : new TextDecoder().decode(content));
  }

  flush(): void {}
}
