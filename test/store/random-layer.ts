// Random layers over few names, so that they often meet: files, directories, links, hardlinks, whiteouts, opaque directories.

import { digestOf } from "../../src/base/digest.ts";
import type { Tree, TreeEntry } from "../../src/store/tree.ts";
import { comparePaths, isBelow } from "../../src/store/tree.ts";
import { entry, tree } from "./support.ts";
import type { SeededRandom } from "../fake/seeded-random.ts";

const NAMES = ["a", "b", "c", "a.b"];

/** A layer whose entries lie below workspace/ and etc/. */
export function randomLayer(random: SeededRandom): Tree {
  const chosen = new Map<string, TreeEntry>();
  let group = 0;
  let lastFile: TreeEntry | undefined;
  for (let count = random.below(12); count > 0; count--) {
    const depth = 1 + random.below(3);
    const path = [
      random.pick(["workspace", "workspace", "etc"]),
      ...Array.from({ length: depth }, () => random.pick(NAMES)),
    ].join("/");
    const kind = random.pick(["file", "file", "file", "directory", "directory", "symlink", "whiteout"] as const);
    const content = `${path}${random.below(3)}`;
    const more = kind === "file" ? { digest: digestOf(content), size: content.length } : {};
    let made = entry(path, kind, { ...more, opaque: kind === "directory" && random.below(3) === 0 });
    if (kind === "file" && lastFile !== undefined && random.below(4) === 0) {
      if (lastFile.hardlink === 0) {
        lastFile = entry(lastFile.path, "file", { digest: lastFile.digest, size: lastFile.size, hardlink: ++group });
        chosen.set(lastFile.path, lastFile);
      }
      made = entry(path, "file", { digest: lastFile.digest, size: lastFile.size, hardlink: lastFile.hardlink });
    }
    chosen.set(path, made);
    if (kind === "file") lastFile = made;
  }
  return renumbered(tree(...withoutConflicts([...chosen.values()])));
}

/** Only directories hold entries. */
function withoutConflicts(entries: readonly TreeEntry[]): readonly TreeEntry[] {
  const closed = entries.filter((each) => each.kind !== "directory");
  return entries
    .filter((each) => !closed.some((other) => isBelow(each.path, other.path)))
    .toSorted((a, b) => comparePaths(a.path, b.path));
}

/** Hardlink numbers in order of appearance, groups of one dissolved. */
function renumbered(value: Tree): Tree {
  const numbers = new Map<number, number>();
  return value.map((each) => {
    if (each.hardlink === 0) return each;
    const size = value.filter((other) => other.hardlink === each.hardlink).length;
    if (size === 1) return { ...each, hardlink: 0 };
    const number = numbers.get(each.hardlink) ?? numbers.size + 1;
    numbers.set(each.hardlink, number);
    return { ...each, hardlink: number };
  });
}
