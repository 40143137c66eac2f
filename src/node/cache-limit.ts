// How large the cache may grow: a size that the user set, else a tenth of the disk. Runs keep to it by themselves.

import { readFileSync, renameSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MeshError, errnoOf } from "../base/errors.ts";
import { parseBytes } from "../base/units.ts";
import type { Store } from "../store/io/store.ts";

const FILE = "cache-limit";

/** The limit nobody has set: a tenth of the filesystem, and at least this. */
const LEAST_BYTES = 5 * 1024 ** 3;

export interface CacheLimit {
  /** null for none. */
  readonly bytes: number | null;
  readonly isSet: boolean;
}

/** Reads the limit of the store in `home`. Throws `store.corrupt` when the file says nothing sensible. */
export function readCacheLimit(home: string): CacheLimit {
  let text: string;
  try {
    text = readFileSync(join(home, FILE), "utf8").trim();
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return { bytes: usualLimit(home), isSet: false };
  }
  if (text === "none") return { bytes: null, isSet: true };
  const bytes = parseBytes(text);
  if (bytes === null) {
    throw new MeshError(
      "store.corrupt",
      `Cannot read ${join(home, FILE)}: ${JSON.stringify(text.slice(0, 40))} is no size`,
      {
        hint: "`mesh cache limit 20gb` writes it anew.",
      },
    );
  }
  return { bytes, isSet: true };
}

/** Sets the limit; null is none. */
export function writeCacheLimit(home: string, bytes: number | null): void {
  const path = join(home, FILE);
  writeFileSync(`${path}.new`, bytes === null ? "none\n" : `${bytes}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Removes what was not used for longest, if there is more than the limit allows. */
export async function keepToLimit(store: Store): Promise<void> {
  const { bytes } = readCacheLimit(store.paths.home);
  if (bytes === null) return;
  const { layers, blobs } = store.stats();
  if (layers.bytes + blobs.bytes > bytes) await store.prune({ maxBytes: bytes, olderThanMs: null, nowMs: Date.now() });
}

function usualLimit(home: string): number {
  const { blocks, bsize } = statfsSync(home);
  return Math.max(LEAST_BYTES, Math.floor((blocks * bsize) / 10));
}
