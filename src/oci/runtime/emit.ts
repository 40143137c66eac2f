// Writes a set-up program as the table that the stub walks, with its texts and variables behind it. Pure.

import { assert } from "../../base/assert.ts";
import { fail } from "../../base/errors.ts";
import { fillBlanks, hasBlanks } from "./blanks.ts";
import type { Argument, Place, SetupOp, SetupProgram, Target } from "./setup-op.ts";
import {
  BITS_FLAG,
  buildImage,
  DATA_ADDRESS,
  DECIMAL_FLAG,
  FAILURE_ADDRESS,
  FIRST_ROW_ADDRESS,
  ROW,
  VARIABLES_ADDRESS,
} from "./stub.ts";
import { type Architecture, syscallNumber } from "./syscalls.ts";

/** A program ready to be spawned, and what its reports mean. */
export interface ContextImage {
  /** A static ELF executable. */
  readonly image: Uint8Array;
  /** Name of the operation that a failure record points at. */
  readonly nameOf: (rowAddress: number) => string;
}

/** Descriptor on which a program reports: a socket to mesh. Records are two 64-bit words. */
export const REPORT_FD = 3;
/** First word of the record that tells the process id of the context's pid 1. A first word that is none of these is a failed row's address. */
export const PID_RECORD = 1;
/** First word of the record that tells that the task's process has become the command, unless a failure was told before. */
export const BEGUN_RECORD = 2;
/**
 * First word of the record that tells the task's wait status, once all in the context but pid 1 are dead. Two records follow
 * with the time on CPUs of all that were in it, in user mode and in the kernel: seconds, microseconds.
 */
export const END_RECORD = 3;
/** Exit code of a program that failed before its task began. */
export const SETUP_FAILED_EXIT = 125;

/** A compiled program that may have blanks (blanks.ts). */
export interface ImageForm {
  readonly architecture: Architecture;
  readonly data: Uint8Array;
  readonly blankTexts: readonly BlankText[];
  readonly nameOf: (rowAddress: number) => string;
}

/** A text with blanks, and where in the data its address is wanted. */
interface BlankText {
  readonly text: string;
  readonly wantedAt: number[];
}

/** Encodes the program. Throws `context.unavailable` when the architecture lacks one of the calls. */
export function emitImage(program: SetupProgram, architecture: Architecture): ContextImage {
  return fillImage(emitForm(program, architecture), []);
}

/** Encodes a program whose texts may have blanks. Throws as `emitImage` does. */
export function emitForm(program: SetupProgram, architecture: Architecture): ImageForm {
  const rows = program.operations.filter((op) => op.kind !== "label");
  const writer = new DataWriter(rows.length + FAILURE_ROWS.length, program.variables);
  const labels = labelAddresses(program.operations);
  const failAddress = rowAddress(rows.length);
  let index = 0;
  for (const op of [...rows, ...FAILURE_ROWS]) {
    writeRow(writer, op, { index, labels, failAddress, architecture });
    index++;
  }
  return {
    architecture,
    ...writer.finish(),
    nameOf: (address) => {
      const op = rows[(address - FIRST_ROW_ADDRESS) / ROW.size];
      return op && "name" in op ? op.name : `operation at 0x${address.toString(16)}`;
    },
  };
}

/** The program with its blanks filled in by these paths: the texts come behind all else, and their addresses where they are wanted. */
export function fillImage(form: ImageForm, paths: readonly string[]): ContextImage {
  const texts = form.blankTexts.map(({ text }) => utf8.encode(fillBlanks(text, paths)));
  const textBytes = texts.reduce((sum, text) => sum + text.length + 1, 0);
  const data = new Uint8Array(form.data.length + textBytes + BEHIND_TEXTS_BYTES);
  data.set(form.data);
  const view = new DataView(data.buffer);
  let at = form.data.length;
  for (const [index, text] of texts.entries()) {
    data.set(text, at);
    for (const wanted of form.blankTexts[index]?.wantedAt ?? []) view.setUint32(wanted, DATA_ADDRESS + at, true);
    at += text.length + 1;
  }
  return {
    image: buildImage(data, form.architecture),
    nameOf: (address) => fillBlanks(form.nameOf(address), paths),
  };
}

/** What follows a failed operation: report it, end. Nothing can be done about an error in here. */
const FAILURE_ROWS: readonly SetupOp[] = [
  {
    kind: "call",
    name: "report the failure",
    call: "write",
    arguments: [REPORT_FD, { kind: "address", at: { fixed: FAILURE_ADDRESS } }, 16],
    onError: "next",
  },
  { kind: "call", name: "end", call: "exit_group", arguments: [SETUP_FAILED_EXIT], onError: "next" },
];

interface RowContext {
  readonly index: number;
  readonly labels: ReadonlyMap<string, number>;
  readonly failAddress: number;
  readonly architecture: Architecture;
}

function writeRow(writer: DataWriter, op: SetupOp, context: RowContext): void {
  const at = FIRST_ROW_ADDRESS - DATA_ADDRESS + context.index * ROW.size;
  const after = rowAddress(context.index + 1);
  const resolve = (target: Target): number => (target === "next" ? after : labelOf(context.labels, target.label));
  if (op.kind === "label") return;
  if (op.kind === "goto") {
    const target = labelOf(context.labels, op.label);
    writer.row(at, {
      number: 0,
      flags: BITS_FLAG,
      result: writer.scratch,
      match: writer.scratch,
      onError: target,
      onMatch: target,
      next: target,
    });
    return;
  }
  const { number, args, kindFlag } = encodingOf(op, writer, context.architecture);
  let flags = kindFlag;
  for (const [position, argument] of args.entries()) {
    if (typeof argument === "object" && argument.kind === "value") flags |= 1 << position;
    writer.argument(at + ROW.arguments + 8 * position, argument);
  }
  const wanted = op.onResult;
  writer.row(at, {
    number,
    flags,
    result: op.result === undefined ? writer.scratch : writer.place(op.result),
    match: wanted === undefined ? writer.scratch : writer.matchAddress(wanted.is),
    onError: op.onError === undefined || op.onError === "fail" ? context.failAddress : resolve(op.onError),
    onMatch: wanted === undefined ? after : resolve(wanted.goTo),
    next: after,
  });
}

interface Encoding {
  readonly number: number;
  readonly args: readonly Argument[];
  readonly kindFlag: number;
}

/** Digits of the largest number, and the zero behind them. */
const DECIMAL_BYTES = 21;

function encodingOf(
  op: Exclude<SetupOp, { kind: "label" | "goto" }>,
  writer: DataWriter,
  architecture: Architecture,
): Encoding {
  switch (op.kind) {
    case "call":
      return { number: numberOf(op.call, architecture), args: op.arguments, kindFlag: 0 };
    case "bits":
      return { number: 0, args: [{ kind: "value", at: op.of }, op.mask], kindFlag: BITS_FLAG };
    case "decimal":
      return {
        number: 0,
        args: [{ kind: "value", at: op.of }, writer.changing(new Uint8Array(DECIMAL_BYTES)) + DECIMAL_BYTES - 1],
        kindFlag: DECIMAL_FLAG,
      };
  }
}

function numberOf(name: string, architecture: Architecture): number {
  return (
    syscallNumber(name, architecture) ??
    fail("context.unavailable", `Cannot call ${name} on ${architecture}: it has no such system call`)
  );
}

function rowAddress(index: number): number {
  return FIRST_ROW_ADDRESS + index * ROW.size;
}

function labelAddresses(operations: readonly SetupOp[]): ReadonlyMap<string, number> {
  const labels = new Map<string, number>();
  let rows = 0;
  for (const op of operations) {
    if (op.kind === "label") labels.set(op.label, rowAddress(rows));
    else rows++;
  }
  return labels;
}

function labelOf(labels: ReadonlyMap<string, number>, label: string): number {
  const at = labels.get(label);
  if (at === undefined) throw new Error(`Bug: no label ${label}`);
  return at;
}

interface Row {
  readonly number: number;
  readonly flags: number;
  readonly result: number;
  readonly match: number;
  readonly onError: number;
  readonly onMatch: number;
  readonly next: number;
}

const utf8 = new TextEncoder();

/** mount(2) copies a page from where its options begin, and is slow where there is less. */
const BEHIND_TEXTS_BYTES = 4096;

/** Grows the data segment: variables and rows first, then whatever they point at. Equal texts are kept once. */
class DataWriter {
  #buffer = new Uint8Array(32 * 1024);
  #view = new DataView(this.#buffer.buffer);
  /** The same bytes, for what is aligned. */
  #words32 = new Uint32Array(this.#buffer.buffer);
  #length: number;
  #variablesEnd = VARIABLES_ADDRESS;
  readonly #texts = new Map<string, number>();
  readonly #blankTexts = new Map<string, BlankText>();
  readonly #variables = new Map<string, number>();
  readonly #numbers = new Map<number, number>();
  readonly #initial: Readonly<Record<string, Uint8Array>>;
  /** Address of 8 bytes whose content nobody reads. */
  readonly scratch: number;

  constructor(rowCount: number, variables: Readonly<Record<string, Uint8Array>>) {
    this.#initial = variables;
    this.#length = FIRST_ROW_ADDRESS - DATA_ADDRESS + rowCount * ROW.size;
    this.#reserve(0);
    this.scratch = this.changing(new Uint8Array(8));
  }

  finish(): Pick<ImageForm, "data" | "blankTexts"> {
    return { data: this.#buffer.slice(0, this.#length), blankTexts: [...this.#blankTexts.values()] };
  }

  row(at: number, row: Row): void {
    this.#words32[(at + ROW.number) >> 2] = row.number;
    this.#words32[(at + ROW.flags) >> 2] = row.flags;
    this.#word(at + ROW.result, row.result);
    this.#word(at + ROW.match, row.match);
    this.#word(at + ROW.onError, row.onError);
    this.#word(at + ROW.onMatch, row.onMatch);
    this.#word(at + ROW.next, row.next);
  }

  argument(at: number, argument: Argument): void {
    if (typeof argument === "number" && argument >= 0) this.#word(at, argument);
    else if (typeof argument === "number" || typeof argument === "bigint") {
      this.#view.setBigUint64(at, BigInt.asUintN(64, BigInt(argument)), true);
    } else if (typeof argument === "string" && hasBlanks(argument)) this.#wantBlankText(argument, at);
    else this.#word(at, this.#addressOf(argument));
  }

  /** Address of bytes that the program changes; at first they are `content`. */
  changing(content: Uint8Array): number {
    const at = this.#variablesEnd;
    this.#variablesEnd += (content.length + 7) & ~7;
    assert(this.#variablesEnd <= FIRST_ROW_ADDRESS, "a program's variables have room before its rows");
    this.#buffer.set(content, at - DATA_ADDRESS);
    return at;
  }

  place(place: Place): number {
    if ("fixed" in place) return place.fixed;
    let at = this.#variables.get(place.variable);
    if (at === undefined) {
      at = this.changing(this.#initial[place.variable] ?? new Uint8Array(8));
      this.#variables.set(place.variable, at);
    }
    return at + (place.offset ?? 0);
  }

  /** Address of a word to compare a result with. */
  matchAddress(is: number | Place): number {
    if (typeof is !== "number") return this.place(is);
    let at = this.#numbers.get(is);
    if (at === undefined) {
      const offset = this.#allocate(8);
      this.#word(offset, is);
      at = DATA_ADDRESS + offset;
      this.#numbers.set(is, at);
    }
    return at;
  }

  #wantBlankText(text: string, at: number): void {
    const known = this.#blankTexts.get(text);
    if (known === undefined) this.#blankTexts.set(text, { text, wantedAt: [at] });
    else known.wantedAt.push(at);
  }

  #addressOf(argument: Exclude<Argument, number | bigint>): number {
    if (typeof argument === "string") return this.#text(argument);
    switch (argument.kind) {
      case "bytes":
        return this.#put(argument.bytes);
      case "strings": {
        const vector = this.#allocate(8 * (argument.strings.length + 1));
        for (const [index, text] of argument.strings.entries()) this.#word(vector + 8 * index, this.#text(text));
        return DATA_ADDRESS + vector;
      }
      case "filter": {
        const instructions = this.#put(argument.instructions);
        const program = this.#allocate(16);
        this.#view.setUint16(program, argument.instructions.length / 8, true);
        this.#word(program + 8, instructions);
        return DATA_ADDRESS + program;
      }
      case "value":
      case "address":
        return this.place(argument.at);
    }
  }

  #text(text: string): number {
    let at = this.#texts.get(text);
    if (at === undefined) {
      this.#reserve(text.length * 3 + 1);
      at = DATA_ADDRESS + this.#length;
      const { written } = utf8.encodeInto(text, this.#buffer.subarray(this.#length));
      this.#length += written + 1;
      this.#texts.set(text, at);
    }
    return at;
  }

  #put(content: Uint8Array): number {
    const at = this.#allocate(content.length);
    this.#buffer.set(content, at);
    return DATA_ADDRESS + at;
  }

  /** Offset of fresh zero bytes, aligned to 8. */
  #allocate(sizeBytes: number): number {
    this.#length = (this.#length + 7) & ~7;
    this.#reserve(sizeBytes);
    const at = this.#length;
    this.#length += sizeBytes;
    return at;
  }

  #reserve(more: number): void {
    if (this.#length + more + 16 <= this.#buffer.length) return;
    const grown = new Uint8Array(2 * ((this.#length + more + 16 + 7) & ~7));
    grown.set(this.#buffer);
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
    this.#words32 = new Uint32Array(grown.buffer);
  }

  /** An aligned 64-bit word whose value is below 2^53. Both architectures are little endian. */
  #word(at: number, word: number): void {
    this.#words32[at >> 2] = word;
    this.#words32[(at >> 2) + 1] = word > 0xffffffff ? Math.floor(word / 0x100000000) : 0;
  }
}
