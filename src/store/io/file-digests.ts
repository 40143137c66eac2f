// Digests of single files of this machine that change rarely, known for as long as their metadata stays the same. It never copies
// a file, and knows nothing of working trees: those keep theirs together.

import { readFileSync, statSync } from "node:fs";
import { type Digest, digestOf, isDigest } from "../../base/digest.ts";
import { MeshError } from "../../base/errors.ts";
import type { Index } from "./index-db.ts";

/** Younger than this when it is read, a file may change again without its times telling. */
const TICK_MS = 20;

export class FileDigests {
  readonly #index: Index;

  constructor(index: Index) {
    this.#index = index;
  }

  /** The digest of the file at `path`, read anew only if it was changed or replaced. Throws what the system says when it cannot be read. */
  of(path: string, nowMs: number): Digest {
    const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = statSync(path, { bigint: true });
    const scope = `file ${path}`;
    const stamp = [dev, ino, size, mtimeNs, ctimeNs].join(" ");
    const row = this.#index.get<{ body: string }>("SELECT body FROM file_digests WHERE scope = ?", scope);
    const known = row?.body.startsWith(`${stamp} `) === true ? row.body.slice(stamp.length + 1) : "";
    if (isDigest(known)) return known;
    const digest = digestOf(readFileSync(path));
    if (nowMs - Number(ctimeMs) > TICK_MS) this.#remember(scope, `${stamp} ${digest}`);
    return digest;
  }

  /** On a full disk nothing is remembered. */
  #remember(scope: string, body: string): void {
    try {
      this.#index.run("INSERT OR REPLACE INTO file_digests (scope, body) VALUES (?, ?)", scope, body);
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
    }
  }
}
