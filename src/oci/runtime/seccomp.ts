// Compiles a list of system call names to a classic BPF program for seccomp(2). Pure: it never installs one.
//
// Layout of what a filter reads (struct seccomp_data): nr at 0, architecture at 4, argument n at 16 + 8 n.

import { type Architecture, highestSyscall, syscallNumber } from "./syscalls.ts";

/** What the kernel answers to a call. */
export type Verdict = "allow" | { readonly errno: number };

/** A decision on one call, made before the allow-list is asked. */
export type Rule =
  | { readonly kind: "always"; readonly call: string; readonly verdict: Verdict }
  | {
      readonly kind: "argument-has-bits";
      readonly call: string;
      readonly argument: number;
      readonly bits: number;
      readonly verdict: Verdict;
    }
  | {
      readonly kind: "argument-is";
      readonly call: string;
      readonly argument: number;
      readonly value: number;
      readonly verdict: Verdict;
    };

export interface FilterSpec {
  readonly architecture: Architecture;
  /** Names that pass; a name the architecture lacks is skipped. */
  readonly allow: readonly string[];
  /** Asked in order, first match wins. Only the low 32 bits of an argument are looked at. */
  readonly rules: readonly Rule[];
}

const EPERM = 1;
const ENOSYS = 38;
const AUDIT_ARCHITECTURE = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
const X32_BIT = 0x40000000;

/**
 * The program as an array of `struct sock_filter`. A known call that is not allowed gets EPERM; one newer than our table gets
 * ENOSYS, so that a C library falls back; another architecture's calls get ENOSYS.
 */
export function compileFilter(spec: FilterSpec): Uint8Array {
  const { architecture } = spec;
  const program: Instruction[] = [
    load(4),
    jump("equal", AUDIT_ARCHITECTURE[architecture], 1, 0),
    answer({ errno: ENOSYS }),
    load(0),
  ];
  if (architecture === "x64") program.push(jump("atLeast", X32_BIT, 0, 1), answer({ errno: ENOSYS }));
  for (const rule of spec.rules) program.push(...compileRule(rule, architecture));
  program.push(...searchTree(decisions(spec)));
  return encode(program);
}

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

const JUMPS = { equal: 0x15, atLeast: 0x35, hasBits: 0x45 } as const;

function load(offset: number): Instruction {
  return [0x20, 0, 0, offset];
}

function jump(test: keyof typeof JUMPS, operand: number, ifTrue: number, ifFalse: number): Instruction {
  return [JUMPS[test], ifTrue, ifFalse, operand];
}

function answer(verdict: Verdict): Instruction {
  return [0x06, 0, 0, verdict === "allow" ? 0x7fff0000 : 0x00050000 | verdict.errno];
}

function compileRule(rule: Rule, architecture: Architecture): readonly Instruction[] {
  const number = syscallNumber(rule.call, architecture);
  if (number === null) return [];
  if (rule.kind === "always") return [jump("equal", number, 0, 1), answer(rule.verdict)];
  const test = rule.kind === "argument-is" ? jump("equal", rule.value, 0, 1) : jump("hasBits", rule.bits, 0, 1);
  return [jump("equal", number, 0, 4), load(16 + 8 * rule.argument), test, answer(rule.verdict), load(0)];
}

/** Where the verdict changes: from this number on it is `verdict`, until the next one. */
interface Boundary {
  readonly from: number;
  readonly verdict: Verdict;
}

function decisions(spec: FilterSpec): readonly Boundary[] {
  const allowed = new Set<number>();
  for (const name of spec.allow) {
    const number = syscallNumber(name, spec.architecture);
    if (number !== null) allowed.add(number);
  }
  const boundaries: Boundary[] = [];
  const highest = highestSyscall(spec.architecture);
  for (let number = 0; number <= highest; number++) {
    const isAllowed = allowed.has(number);
    if (number > 0 && isAllowed === allowed.has(number - 1)) continue;
    boundaries.push({ from: number, verdict: isAllowed ? "allow" : { errno: EPERM } });
  }
  boundaries.push({ from: highest + 1, verdict: { errno: ENOSYS } });
  return boundaries;
}

/** A binary search over the boundaries, so that a call costs a handful of instructions. The number is in the accumulator. */
function searchTree(boundaries: readonly Boundary[]): readonly Instruction[] {
  if (boundaries.length === 1) return [answer(boundaries[0]?.verdict ?? { errno: EPERM })];
  const middle = boundaries.length >> 1;
  const below = searchTree(boundaries.slice(0, middle));
  const above = searchTree(boundaries.slice(middle));
  const pivot = boundaries[middle]?.from ?? 0;
  if (below.length <= 255) return [jump("atLeast", pivot, below.length, 0), ...below, ...above];
  return [jump("atLeast", pivot, 0, 1), [0x05, 0, 0, below.length], ...below, ...above];
}

function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, [code, ifTrue, ifFalse, operand]] of program.entries()) {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, ifTrue);
    view.setUint8(index * 8 + 3, ifFalse);
    view.setUint32(index * 8 + 4, operand >>> 0, true);
  }
  return bytes;
}
