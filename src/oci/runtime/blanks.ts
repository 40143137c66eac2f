// Contexts of one shape differ in a few paths only. Those are blanks in a program that is compiled once, and are filled in for
// each context: a tenth of what planning and compiling again would cost. Pure.

import type { ContextSetup } from "./context-spec.ts";
import type { Allotment } from "./plan-input.ts";

/** A context without its own paths, and these in the order of their blanks. */
export interface Outline {
  readonly setup: ContextSetup;
  readonly allotment: Allotment;
  readonly paths: readonly string[];
}

/** Blanks may not turn short mount options into long ones, which are handed over in another way (plan-root.ts). */
const MOST_BYTES = 1500;

const BLANK = /⟦(\d+)⟧/g;
const OPENING = "⟦";

/** The same with blanks for paths; null when it has to be planned as it is. */
export function outlineOf(setup: ContextSetup, allotment: Allotment): Outline | null {
  const paths: string[] = [];
  // The slash stays: a plan makes a path relative by leaving it out.
  const blank = (path: string): string => `/⟦${paths.push(path) - 1}⟧`;
  const { root, binds } = setup;
  const outline = {
    setup: {
      ...setup,
      root: { ...root, lowers: root.lowers.map(blank), upper: blank(root.upper), work: blank(root.work) },
      binds: binds.map((bind) => ({ ...bind, source: blank(bind.source) })),
    },
    allotment: { ...allotment, cgroupTaskFiles: allotment.cgroupTaskFiles.map(blank) },
    paths,
  };
  return paths.every(isPlain) && paths.reduce((sum, path) => sum + path.length, 0) <= MOST_BYTES ? outline : null;
}

/** Whether a text has blanks. */
export function hasBlanks(text: string): boolean {
  return text.includes(OPENING);
}

/** The text with its blanks filled in. */
export function fillBlanks(text: string, paths: readonly string[]): string {
  return text.replace(BLANK, (_, index: string) => (paths[Number(index)] ?? "").slice(1));
}

/** Overlay options escape some characters, and a blank is no character. */
function isPlain(path: string): boolean {
  return /^\/[^\\,:⟦]*$/.test(path);
}
