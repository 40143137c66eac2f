// The machine code that performs a set-up program: one small loop per architecture, without libc, stack or threads (so
// that user namespaces may be entered). It knows nothing of containers; emit.ts writes the table that it walks.
//
// A row of the table is twelve 64-bit words. The loop loads the arguments (through a pointer where the row says so), makes
// the call, keeps the result, and goes to one of three rows: on an error, on a matching result, else the next one.

import type { Architecture } from "./syscalls.ts";

/** Byte offsets in a row. */
export const ROW = {
  number: 0,
  flags: 4,
  arguments: 8,
  result: 56,
  match: 64,
  onError: 72,
  onMatch: 80,
  next: 88,
  size: 96,
} as const;

/**
 * Bits of `flags`. 0 to 5: the argument is the address of its value. 6 and 7: no call is made; the result is argument 0 & argument 1,
 * or the address of argument 0 in decimal digits, written so that they end before the address in argument 1.
 */
export const BITS_FLAG = 0x40;
export const DECIMAL_FLAG = 0x80;

/** Where the ELF image's two segments are loaded. */
export const TEXT_ADDRESS = 0x400000;
export const DATA_ADDRESS = 0x800000;
/** 16 bytes: address of the row whose call failed last, and the negative errno. */
export const FAILURE_ADDRESS = DATA_ADDRESS;
/** What changes while the program runs lies side by side: one page for the kernel to copy in each process. Then come the rows. */
export const VARIABLES_ADDRESS = DATA_ADDRESS + 16;
export const FIRST_ROW_ADDRESS = DATA_ADDRESS + 1024;

const HEADER_BYTES = 64 + 3 * 56;
/** Segments are aligned for the largest page size of the architecture, so that arm64 kernels with 64 KiB pages load it. */
const ALIGNMENT = { x64: 0x1000, arm64: 0x10000 } as const;

/** A static ELF executable that performs the program in `data` (loaded at `DATA_ADDRESS`). */
export function buildImage(data: Uint8Array, architecture: Architecture): Uint8Array {
  const code = machineCode(architecture);
  const dataOffset = ALIGNMENT[architecture];
  const image = new Uint8Array(dataOffset + data.length);
  image.set(elfHeader({ codeBytes: code.length, dataOffset, dataBytes: data.length, architecture }));
  image.set(code, HEADER_BYTES);
  image.set(data, dataOffset);
  return image;
}

interface Segments {
  readonly codeBytes: number;
  readonly dataOffset: number;
  readonly dataBytes: number;
  readonly architecture: Architecture;
}

/** ELF-64 file header and program headers: text (read, execute), data (read, write), a stack that is not executable. */
function elfHeader({ codeBytes, dataOffset, dataBytes, architecture }: Segments): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, architecture === "x64" ? 62 : 183, true); // EM_X86_64, EM_AARCH64
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(TEXT_ADDRESS + HEADER_BYTES), true); // entry
  view.setBigUint64(32, 64n, true); // program headers follow
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 3, true);
  view.setUint16(58, 64, true);
  /** Writes an Elf64_Phdr; of `kind`, p_type and p_flags (elf(5)). */
  const segment = (
    index: number,
    kind: readonly [number, number],
    offset: number,
    [at, size]: readonly [number, number],
  ) => {
    const start = 64 + 56 * index;
    view.setUint32(start, kind[0], true);
    view.setUint32(start + 4, kind[1], true);
    for (const [position, word] of [offset, at, at, size, size, ALIGNMENT[architecture]].entries()) {
      view.setBigUint64(start + 8 + 8 * position, BigInt(word), true);
    }
  };
  segment(0, [1, 5], 0, [TEXT_ADDRESS, HEADER_BYTES + codeBytes]);
  segment(1, [1, 6], dataOffset, [DATA_ADDRESS, dataBytes]);
  segment(2, [0x6474e551, 6], 0, [0, 0]); // PT_GNU_STACK
  return header;
}

const built: Partial<Record<Architecture, Uint8Array>> = {};

/** The loop's machine code; position: directly behind the ELF headers. */
export function machineCode(architecture: Architecture): Uint8Array {
  return (built[architecture] ??= architecture === "x64" ? x64Code() : arm64Code());
}

function x64Code(): Uint8Array {
  const code: number[] = [];
  const emit = (...octets: readonly number[]) => void code.push(...octets.map((octet) => octet & 255));
  const emit32 = (word: number) => emit(word & 255, (word >>> 8) & 255, (word >>> 16) & 255, (word >>> 24) & 255);
  /** Writes a jump with an 8-bit distance that `land` completes. */
  const jumpAhead = (opcode: number) => {
    emit(opcode, 0);
    return code.length;
  };
  const land = (from: number) => void (code[from - 1] = code.length - from);
  const jumpBack = (to: number) => {
    emit(0xe9);
    emit32(to - (code.length + 4));
  };

  emit(0xbb); // mov ebx, first row
  emit32(FIRST_ROW_ADDRESS);
  const loop = code.length;
  emit(0x48, 0x8b, 0x7b, ROW.arguments); // mov rdi, [rbx + 8]
  emit(0x48, 0x8b, 0x73, ROW.arguments + 8); // mov rsi, [rbx + 16]
  emit(0x48, 0x8b, 0x53, ROW.arguments + 16); // mov rdx, [rbx + 24]
  emit(0x4c, 0x8b, 0x53, ROW.arguments + 24); // mov r10, [rbx + 32]
  emit(0x4c, 0x8b, 0x43, ROW.arguments + 32); // mov r8, [rbx + 40]
  emit(0x4c, 0x8b, 0x4b, ROW.arguments + 40); // mov r9, [rbx + 48]
  emit(0x8b, 0x6b, ROW.flags); // mov ebp, [rbx + 4]
  const loads = [
    [0x48, 0x8b, 0x3f], // mov rdi, [rdi]
    [0x48, 0x8b, 0x36], // mov rsi, [rsi]
    [0x48, 0x8b, 0x12], // mov rdx, [rdx]
    [0x4d, 0x8b, 0x12], // mov r10, [r10]
    [0x4d, 0x8b, 0x00], // mov r8, [r8]
    [0x4d, 0x8b, 0x09], // mov r9, [r9]
  ];
  for (const [index, load] of loads.entries()) {
    emit(0x40, 0xf6, 0xc5, 1 << index); // test bpl, 1 << index
    const skip = jumpAhead(0x74); // jz
    emit(...load);
    land(skip);
  }
  emit(0x40, 0xf6, 0xc5, BITS_FLAG); // test bpl, 0x40
  const bits = jumpAhead(0x75); // jnz
  emit(0x40, 0xf6, 0xc5, DECIMAL_FLAG); // test bpl, 0x80
  const decimal = jumpAhead(0x75); // jnz
  emit(0x8b, 0x03); // mov eax, [rbx]
  emit(0x0f, 0x05); // syscall
  const called = jumpAhead(0xeb); // jmp
  land(bits);
  emit(0x48, 0x89, 0xf8); // mov rax, rdi
  emit(0x48, 0x21, 0xf0); // and rax, rsi
  const masked = jumpAhead(0xeb); // jmp
  land(decimal);
  emit(0x48, 0x89, 0xf8); // mov rax, rdi
  emit(0xb9, 10, 0, 0, 0); // mov ecx, 10
  const digit = code.length;
  emit(0x31, 0xd2); // xor edx, edx
  emit(0x48, 0xf7, 0xf1); // div rcx
  emit(0x80, 0xc2, 0x30); // add dl, '0'
  emit(0x48, 0xff, 0xce); // dec rsi
  emit(0x88, 0x16); // mov [rsi], dl
  emit(0x48, 0x85, 0xc0); // test rax, rax
  emit(0x75, digit - (code.length + 2)); // jnz
  emit(0x48, 0x89, 0xf0); // mov rax, rsi
  land(masked);
  land(called);
  emit(0x48, 0x8b, 0x4b, ROW.result); // mov rcx, [rbx + 56]
  emit(0x48, 0x89, 0x01); // mov [rcx], rax
  emit(0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff); // cmp rax, -4095
  const error = jumpAhead(0x73); // jae
  emit(0x48, 0x8b, 0x4b, ROW.match); // mov rcx, [rbx + 64]
  emit(0x48, 0x3b, 0x01); // cmp rax, [rcx]
  const match = jumpAhead(0x74); // je
  emit(0x48, 0x8b, 0x5b, ROW.next); // mov rbx, [rbx + 88]
  jumpBack(loop);
  land(match);
  emit(0x48, 0x8b, 0x5b, ROW.onMatch); // mov rbx, [rbx + 80]
  jumpBack(loop);
  land(error);
  emit(0x48, 0x89, 0x1c, 0x25); // mov [failure], rbx
  emit32(FAILURE_ADDRESS);
  emit(0x48, 0x89, 0x04, 0x25); // mov [failure + 8], rax
  emit32(FAILURE_ADDRESS + 8);
  emit(0x48, 0x8b, 0x5b, ROW.onError); // mov rbx, [rbx + 72]
  jumpBack(loop);
  return new Uint8Array(code);
}

function arm64Code(): Uint8Array {
  const code: number[] = [];
  const emit = (...instructions: readonly number[]) => void code.push(...instructions.map((word) => word >>> 0));
  /** `ldr x<target>, [x<base>, #offset]`. */
  const load = (target: number, base: number, offset = 0) =>
    emit(0xf9400000 | ((offset >> 3) << 10) | (base << 5) | target);
  const load32 = (target: number, base: number, offset: number) =>
    emit(0xb9400000 | ((offset >> 2) << 10) | (base << 5) | target);
  const move = (target: number, word: number) =>
    emit(0xd2800000 | ((word & 0xffff) << 5) | target, 0xf2a00000 | ((word >>> 16) << 5) | target);
  const branch = (to: number) => emit(0x14000000 | ((to - code.length) & 0x3ffffff));
  /** Writes a branch whose 19-bit (or 14-bit, or 26-bit) distance `land` completes. */
  const branchAhead = (instruction: number) => code.push(instruction >>> 0) - 1;
  const land = (from: number, shift: number) =>
    void (code[from] = ((code[from] ?? 0) | ((code.length - from) << shift)) >>> 0);

  move(19, FIRST_ROW_ADDRESS);
  move(21, FAILURE_ADDRESS);
  const loop = code.length;
  for (let index = 0; index < 6; index++) load(index, 19, ROW.arguments + 8 * index);
  load32(20, 19, ROW.flags);
  for (let index = 0; index < 6; index++) {
    const skip = branchAhead(0x36000014 | (index << 19)); // tbz w20, #index
    load(index, index);
    land(skip, 5);
  }
  const bits = branchAhead(0x37000014 | (6 << 19)); // tbnz w20, #6
  const decimal = branchAhead(0x37000014 | (7 << 19)); // tbnz w20, #7
  load32(8, 19, ROW.number);
  emit(0xd4000001); // svc #0
  const called = branchAhead(0x14000000); // b
  land(bits, 5);
  emit(0x8a010000); // and x0, x0, x1
  const masked = branchAhead(0x14000000); // b
  land(decimal, 5);
  move(10, 10);
  emit(0x9aca080b); // udiv x11, x0, x10
  emit(0x9b0a816c); // msub x12, x11, x10, x0
  emit(0x1100c18c); // add w12, w12, '0'
  emit(0x381ffc2c); // strb w12, [x1, #-1]!
  emit(0xaa0b03e0); // mov x0, x11
  emit(0xb5000000 | ((-5 & 0x7ffff) << 5)); // cbnz x0, five back
  emit(0xaa0103e0); // mov x0, x1
  land(masked, 0);
  land(called, 0);
  load(9, 19, ROW.result);
  emit(0xf9000120); // str x0, [x9]
  emit(0xb13ffc1f); // cmn x0, #4095
  const error = branchAhead(0x54000002); // b.hs
  load(9, 19, ROW.match);
  load(9, 9);
  emit(0xeb09001f); // cmp x0, x9
  const match = branchAhead(0x54000000); // b.eq
  load(19, 19, ROW.next);
  branch(loop);
  land(match, 5);
  load(19, 19, ROW.onMatch);
  branch(loop);
  land(error, 5);
  emit(0xa90002b3); // stp x19, x0, [x21]
  load(19, 19, ROW.onError);
  branch(loop);
  return new Uint8Array(new Uint32Array(code).buffer);
}
