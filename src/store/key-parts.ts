// The parts a cache key is made of, kept with the result, so that two keys can be compared part by part.

import { type Digest, digestOf } from "../base/digest.ts";
import { canonicalBytes } from "../base/canonical.ts";

/** Name to content, in the order they are shown: text, a digest or a list. The names are the caller's. */
export type KeyParts = Readonly<Record<string, string | Digest | readonly string[]>>;

/** The cache key of its parts; their order does not matter. */
export function keyOf(parts: KeyParts): Digest {
  return digestOf(canonicalBytes(parts));
}

export type PartChange =
  | { readonly kind: "added" | "removed"; readonly part: string }
  | { readonly kind: "changed"; readonly part: string; readonly before: string; readonly after: string }
  | {
      readonly kind: "list";
      readonly part: string;
      readonly added: readonly string[];
      readonly removed: readonly string[];
    };

/** What differs between the parts of an earlier key and a later one, in the later one's order, then what only the earlier had. */
export function compareParts(before: KeyParts, after: KeyParts): readonly PartChange[] {
  const changes: PartChange[] = [];
  for (const [part, value] of Object.entries(after)) {
    const earlier = Object.hasOwn(before, part) ? before[part] : undefined;
    if (earlier === undefined) changes.push({ kind: "added", part });
    else if (typeof earlier === "string" && typeof value === "string") {
      if (earlier !== value) changes.push({ kind: "changed", part, before: earlier, after: value });
    } else {
      const was = typeof earlier === "string" ? [earlier] : earlier;
      const is = typeof value === "string" ? [value] : value;
      if (was.length !== is.length || was.some((item, index) => item !== is[index])) {
        changes.push({ kind: "list", part, added: onlyIn(is, was), removed: onlyIn(was, is) });
      }
    }
  }
  for (const part of Object.keys(before)) if (!Object.hasOwn(after, part)) changes.push({ kind: "removed", part });
  return changes;
}

function onlyIn(list: readonly string[], other: readonly string[]): readonly string[] {
  const known = new Set(other);
  return list.filter((item) => !known.has(item));
}
