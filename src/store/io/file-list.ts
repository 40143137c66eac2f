// A growing list of files by directory and name, kept as the bytes the kernel gave, so that they go to other threads and back
// to the kernel without being decoded or encoded.

import { bytesOfName } from "../names.ts";

export class FileList {
  /** Names and directory paths, each ending with a NUL. */
  #bytes: Uint8Array = new Uint8Array(4096);
  #length = 0;
  /** For each file: where its directory's path and its own name begin. */
  #spans: Uint32Array = new Uint32Array(256);
  count = 0;

  /** Keeps a name's bytes, NUL included; the answer is for `addFile`. */
  keepName(bytes: Uint8Array): number {
    const at = this.#length;
    this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    this.#length += bytes.length;
    return at;
  }

  /** Adds a directory by its tree path; the answer is for `addFile`. */
  addDirectory(path: string): number {
    const bytes = bytesOfName(path);
    const at = this.#length;
    this.#room(bytes.length + 1);
    this.#bytes.set(bytes, at);
    this.#bytes[at + bytes.length] = 0;
    this.#length += bytes.length + 1;
    return at;
  }

  addFile(directory: number, name: number): void {
    if (this.count * 2 + 2 > this.#spans.length) {
      const grown = new Uint32Array(this.#spans.length * 2);
      grown.set(this.#spans);
      this.#spans = grown;
    }
    this.#spans[this.count * 2] = directory;
    this.#spans[this.count * 2 + 1] = name;
    this.count++;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  get spans(): Uint32Array {
    return this.#spans.subarray(0, this.count * 2);
  }

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
