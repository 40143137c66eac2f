// Copies a layer's directory over what the layers below it left, as an overlay would show it: for where none can be mounted.

import {
  type Stats,
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { check } from "../../store/io/errno.ts";
import { HERE, makeFifoAt } from "../../store/io/raw-files.ts";
import { isOpaque } from "../../store/io/stack-path.ts";

/** Lays what is at `source` over `target`, whose parent is there. Whiteouts remove; opaque directories replace. */
export function layOver(source: string, target: string): void {
  const stat = lstatSync(source);
  if (!stat.isDirectory()) {
    rmSync(target, { recursive: true, force: true });
    return copyOne(source, target, stat);
  }
  const isMerged = lstatSync(target, { throwIfNoEntry: false })?.isDirectory() === true && !isOpaque(source);
  if (!isMerged) {
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target);
  }
  // open while it is filled, whatever a layer below made of it
  chmodSync(target, 0o700);
  for (const name of readdirSync(source)) layOver(join(source, name), join(target, name));
  chmodSync(target, stat.mode & 0o7777);
}

function copyOne(source: string, target: string, stat: Stats): void {
  if (stat.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
  else if (stat.isFIFO()) check(makeFifoAt(HERE, target, stat.mode & 0o7777), "make a fifo", target);
  else if (stat.isFile()) {
    copyFileSync(source, target);
    chmodSync(target, stat.mode & 0o7777);
    utimesSync(target, stat.atime, stat.mtime);
  }
  // what is left is a whiteout, or a socket without its server
}
