// "Did you mean": when a word is so near to a known one that it must be a slip of the pen, and not a thing of its own.

import { nearest } from "../base/text.ts";

/** The candidate that the word is a slip of: near, and at most two characters longer or shorter; null when there is none. */
export function slipOf(word: string, candidates: Iterable<string>): string | null {
  const found = nearest(word, candidates);
  return found !== null && Math.abs(found.length - word.length) <= 2 ? found : null;
}

/** `Did you mean "x"?`, or another advice when no candidate is near. */
export function didYouMean(word: string, candidates: Iterable<string>, otherwise = ""): string {
  const found = nearest(word, candidates);
  return found === null ? otherwise : `Did you mean ${JSON.stringify(found)}?`;
}
