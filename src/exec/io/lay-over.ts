// Copies a layer's directory over what the layers below it left, as an overlay would show it: for where none can be mounted.

import { cpSync, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isOpaque } from "../../store/io/stack-path.ts";

/** Lays `source` over `target`, which is made when it is not there. Whiteouts remove; opaque directories replace. */
export function layOver(source: string, target: string): void {
  if (isOpaque(source)) rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    const from = join(source, entry.name);
    const to = join(target, entry.name);
    if (entry.isDirectory()) {
      if (lstatSync(to, { throwIfNoEntry: false })?.isDirectory() === false) rmSync(to, { force: true });
      layOver(from, to);
      continue;
    }
    rmSync(to, { recursive: true, force: true });
    if (!entry.isCharacterDevice()) cpSync(from, to, { verbatimSymlinks: true, preserveTimestamps: true });
  }
}
