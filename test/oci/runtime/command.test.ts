import { describe, expect, test } from "bun:test";
import {
  COMMAND_ADDRESS,
  COMMAND_BYTES,
  becomeCommand,
  encodeCommand,
  operationOn,
} from "../../../src/oci/runtime/command.ts";
import type { ContextCommand } from "../../../src/oci/runtime/context-spec.ts";

const COMMAND: ContextCommand = { argv: ["sh", "-c", "é"], env: { PATH: "/usr/bin:/bin", A: "" }, cwd: "/workspace" };

/** What the program would find: a reader of the block as if it lay at its address. */
function reader(message: Uint8Array) {
  const view = new DataView(message.buffer, message.byteOffset);
  const word = (at: number) => Number(view.getBigUint64(8 + at - COMMAND_ADDRESS, true));
  const text = (at: number) => {
    const start = 8 + at - COMMAND_ADDRESS;
    return new TextDecoder().decode(message.subarray(start, message.indexOf(0, start)));
  };
  const vector = (at: number): readonly string[] => (word(at) === 0 ? [] : [text(word(at)), ...vector(at + 8)]);
  return { length: Number(view.getBigUint64(0, true)), word, text, vector };
}

/** Addresses that the operations read, in order. */
function slots(): readonly (readonly number[])[] {
  return becomeCommand().map((op) =>
    op.kind !== "call"
      ? []
      : op.arguments.map((argument) =>
          typeof argument === "object" && argument.kind === "value" && "fixed" in argument.at ? argument.at.fixed : 0,
        ),
  );
}

describe("encodeCommand()", () => {
  test("lays out directory, argv and environment where the operations look for them", () => {
    const message = encodeCommand(COMMAND);
    const { length, word, text, vector } = reader(message);
    const [[cwd = 0] = [], [, argv = 0, environment = 0] = []] = slots();
    expect(length).toBe(message.length - 8);
    expect(text(word(cwd))).toBe("/workspace");
    expect(vector(word(argv))).toEqual(["sh", "-c", "é"]);
    expect(vector(word(environment))).toEqual(["PATH=/usr/bin:/bin", "A="]);
  });

  test("puts a bare name's places along PATH last, so that the last one's error is reported", () => {
    const { word, text } = reader(encodeCommand(COMMAND));
    const places = slots()
      .slice(1)
      .map(([place = 0]) => word(place));
    expect(places.slice(0, -2).every((place) => text(place) === "")).toBe(true);
    expect(places.length).toBe(32);
    expect(places.slice(-2).map(text)).toEqual(["/usr/bin/sh", "/bin/sh"]);
    const flows = becomeCommand()
      .slice(1)
      .map((op) => ("onError" in op ? op.onError : undefined));
    expect(flows.slice(0, -1).every((flow) => flow === "next")).toBe(true);
    expect(flows.at(-1)).toBeUndefined();
  });

  test("takes a path as it is, and an empty directory of PATH as the working directory", () => {
    const last = (command: ContextCommand) => operationOn("exec", command);
    expect(last({ ...COMMAND, argv: ["./run"] })).toBe("exec ./run");
    expect(last({ ...COMMAND, env: { PATH: "/bin:" } })).toBe("exec ./sh");
    expect(last({ ...COMMAND, env: {} })).toBe("exec /bin/sh");
    expect(operationOn("chdir", COMMAND)).toBe("chdir /workspace");
    expect(operationOn("mount /proc", COMMAND)).toBe("mount /proc");
  });

  test("refuses what is larger than the room for it", () => {
    expect(() => encodeCommand({ ...COMMAND, argv: ["sh", "x".repeat(COMMAND_BYTES)] })).toThrow("Cannot pass");
    const PATH = Array.from({ length: 40 }, (_, index) => `/${index}`).join(":");
    expect(() => encodeCommand({ ...COMMAND, env: { PATH } })).toThrow("a PATH of 40 directories");
  });
});
