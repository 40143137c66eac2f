// The command of a context as bytes: a set-up program waits for it, when all else is done, and becomes it. Pure.
//
// The message is the block's length in 8 bytes, then the block, which the program receives at a fixed address. So its pointers
// are laid out here: working directory, argv, environment, and one slot for each place where the program may lie.

import { fail } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import type { ContextCommand } from "./context-spec.ts";
import { REPORT_FD, SETUP_FAILED_EXIT } from "./emit.ts";
import { address, type Argument, ANYWAY, call, type SetupOp, value, variable } from "./setup-op.ts";

/** Where the block is received, and the most it may have. Far from the program's own segments. */
export const COMMAND_ADDRESS = 0x10000000;
export const COMMAND_BYTES = 2 * LIMITS.argumentBytes;

/** Most directories of a PATH that are looked through. */
const PLACES = 32;
const WORD = 8;
const CWD = COMMAND_ADDRESS;
const ARGV = CWD + WORD;
const ENVIRONMENT = ARGV + WORD;
const FIRST_PLACE = ENVIRONMENT + WORD;

const MSG_WAITALL = 0x100;
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const CHDIR = "chdir";
const EXEC = "exec";

/** Waits for the command as long as mesh is there. */
export function receiveCommand(): readonly SetupOp[] {
  const at = COMMAND_ADDRESS;
  return [
    call("make room for the command", "mmap", [
      at,
      COMMAND_BYTES,
      3 /* read, write */,
      0x32 /* private, anonymous, fixed */,
      -1,
      0,
    ]),
    call("wait for the command", "recvfrom", [REPORT_FD, address("commandBytes"), WORD, MSG_WAITALL, 0, 0], {
      onResult: { is: WORD, goTo: { label: "the command comes" } },
    }),
    call("end: no command is wanted", "exit_group", [SETUP_FAILED_EXIT]),
    { kind: "label", label: "the command comes" },
    call("receive the command", "recvfrom", [REPORT_FD, at, value("commandBytes"), MSG_WAITALL, 0, 0], {
      onResult: { is: variable("commandBytes"), goTo: { label: "the command is here" } },
    }),
    call("end: mesh is gone", "exit_group", [SETUP_FAILED_EXIT]),
    { kind: "label", label: "the command is here" },
  ];
}

/**
 * Becomes the command. The first places are empty texts unless there are that many, so the error reported is the last one's. A
 * null pointer would do as well, at the price of two page faults each.
 */
export function becomeCommand(): readonly SetupOp[] {
  const given = (fixed: number): Argument => ({ kind: "value", at: { fixed } });
  return [
    call(CHDIR, "chdir", [given(CWD)]),
    ...Array.from({ length: PLACES }, (_, place) =>
      call(
        EXEC,
        "execve",
        [given(FIRST_PLACE + WORD * place), given(ARGV), given(ENVIRONMENT)],
        place < PLACES - 1 ? ANYWAY : {},
      ),
    ),
  ];
}

/** Encodes a command. Throws `context.failed` when it is too large, or its PATH too long. */
export function encodeCommand(command: ContextCommand): Uint8Array {
  const places = placesOf(command);
  if (places.length > PLACES)
    fail("context.failed", `Cannot look for ${command.argv[0] ?? ""} in a PATH of ${places.length} directories`, {
      hint: `${PLACES} are the most.`,
    });
  const environment = Object.entries(command.env).map(([name, text]) => `${name}=${text}`);
  const words = FIRST_PLACE + WORD * PLACES - COMMAND_ADDRESS + WORD * (command.argv.length + environment.length + 2);
  const texts = [command.cwd, ...places, ...command.argv, ...environment];
  const block = new TextBlock(words, texts);
  const pointers = block.pointers;
  const argvAt = (FIRST_PLACE - COMMAND_ADDRESS) / WORD + PLACES;
  const environmentAt = argvAt + command.argv.length + 1;
  block.write(0, [pointers[0] ?? 0, COMMAND_ADDRESS + argvAt * WORD, COMMAND_ADDRESS + environmentAt * WORD]);
  const empty = Array.from({ length: PLACES - places.length }, () => block.emptyText);
  block.write((FIRST_PLACE - COMMAND_ADDRESS) / WORD, [...empty, ...pointers.slice(1, 1 + places.length)]);
  block.write(argvAt, pointers.slice(1 + places.length, 1 + places.length + command.argv.length));
  block.write(environmentAt, pointers.slice(1 + places.length + command.argv.length));
  return block.message();
}

/** A failed operation's name with what it was tried on: "exec /bin/sh". */
export function operationOn(operation: string, command: ContextCommand): string {
  if (operation === CHDIR) return `${operation} ${command.cwd}`;
  return operation === EXEC ? `${operation} ${placesOf(command).at(-1) ?? ""}` : operation;
}

/** Whether what failed is the command's own matter. */
export function isOfCommand(operation: string): boolean {
  return operation === CHDIR || operation === EXEC;
}

/** A bare command name is looked for along the context's own PATH. */
function placesOf({ argv, env }: ContextCommand): readonly string[] {
  const name = argv[0] ?? "";
  if (name.includes("/")) return [name];
  return (env["PATH"] ?? DEFAULT_PATH).split(":").map((directory) => `${directory === "" ? "." : directory}/${name}`);
}

/** Words, and texts behind them. */
class TextBlock {
  readonly pointers: readonly number[];
  /** Address of a text without a character. */
  readonly emptyText: number;
  readonly #message: Buffer;
  readonly #words: DataView;

  constructor(wordBytes: number, texts: readonly string[]) {
    const joined = Buffer.from(`${texts.join("\0")}\0`);
    const sizeBytes = wordBytes + joined.length;
    if (sizeBytes > COMMAND_BYTES)
      fail("context.failed", `Cannot pass ${sizeBytes} bytes of arguments and environment`);
    this.#message = Buffer.alloc(WORD + sizeBytes);
    this.#message.writeUInt32LE(sizeBytes, 0);
    joined.copy(this.#message, WORD + wordBytes);
    this.#words = new DataView(this.#message.buffer, this.#message.byteOffset + WORD, wordBytes);
    const pointers: number[] = [];
    let at = 0;
    while (at < joined.length) {
      pointers.push(COMMAND_ADDRESS + wordBytes + at);
      at = joined.indexOf(0, at) + 1;
    }
    this.pointers = pointers;
    this.emptyText = COMMAND_ADDRESS + sizeBytes - 1;
  }

  /** The addresses lie below 2^32. */
  write(atWord: number, words: readonly number[]): void {
    for (const [index, word] of words.entries()) this.#words.setUint32((atWord + index) * WORD, word, true);
  }

  message(): Uint8Array {
    return this.#message;
  }
}
