import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { emitImage, PID_RECORD } from "../../../src/oci/runtime/emit.ts";
import {
  address,
  ANYWAY,
  call,
  type SetupOp,
  type SetupProgram,
  value,
  variable,
  words,
} from "../../../src/oci/runtime/setup-op.ts";
import { machineCode } from "../../../src/oci/runtime/stub.ts";
import { syscallNumber } from "../../../src/oci/runtime/syscalls.ts";
import { spawnImage } from "../../../src/oci/io/spawn-image.ts";
import { ENDS, FakeMachine, type SeenCall } from "../../fake/oci-machine.ts";
import { testIf } from "../../support/require.ts";

const EMULATOR = "qemu-aarch64-static";
const EXIT = syscallNumber("exit_group", "x64");

function program(...operations: readonly SetupOp[]): SetupProgram {
  return { variables: {}, operations };
}

/** Runs on the twin; exit_group ends it. Gives the calls, the exit code last. */
function walk(made: SetupProgram, answers: Readonly<Record<string, number>> = {}): readonly SeenCall[] {
  const machine = new FakeMachine(emitImage(made, "x64").image, "x64");
  machine.run(({ number }) => {
    if (number === EXIT) return ENDS;
    const name = Object.keys(answers).find((candidate) => syscallNumber(candidate, "x64") === number);
    return name === undefined ? 0 : (answers[name] ?? 0);
  });
  return machine.seen;
}

const exit = (code: number) => call("end", "exit_group", [code]);

describe("emitImage()", () => {
  test("keeps results and passes them on", () => {
    const seen = walk(
      program(call("open", "openat", [0], { result: variable("fd") }), call("close", "close", [value("fd")]), exit(0)),
      {
        openat: 9,
      },
    );
    expect(seen[1]?.arguments[0]).toBe(9n);
  });

  test("reports a failed operation, by its row and errno, and ends with 125", () => {
    const compiled = emitImage(
      program(call("first", "getpid", []), call("mount overlay", "mount", []), exit(0)),
      "x64",
    );
    const machine = new FakeMachine(compiled.image, "x64");
    let record: readonly bigint[] = [];
    machine.run((seen) => {
      if (seen.number === syscallNumber("mount", "x64")) return -22;
      if (seen.number === syscallNumber("write", "x64")) {
        const at = Number(seen.arguments[1]);
        record = [machine.word(at), machine.word(at + 8)];
      }
      return seen.number === EXIT ? ENDS : 0;
    });
    expect(compiled.nameOf(Number(record[0]))).toBe("mount overlay");
    expect(record[1]).toBe(-22n);
    expect(machine.seen.at(-1)).toEqual({ number: EXIT ?? 0, arguments: [125n, 0n, 0n, 0n, 0n, 0n] });
  });

  test("goes on after an error that is allowed, or elsewhere", () => {
    const made = program(
      call("a", "setsid", [], ANYWAY),
      call("b", "chdir", ["/x"], { onError: { label: "away" } }),
      exit(1),
      { kind: "label", label: "away" },
      exit(2),
    );
    expect(walk(made, { setsid: -1, chdir: -2 }).at(-1)?.arguments[0]).toBe(2n);
  });

  test("branches on a number, on zero and on a variable", () => {
    const made = program(
      call("a", "getpid", [], { result: variable("mine"), onResult: { is: 0, goTo: { label: "wrong" } } }),
      call("b", "getppid", [], { onResult: { is: variable("mine"), goTo: { label: "right" } } }),
      { kind: "label", label: "wrong" },
      exit(1),
      { kind: "label", label: "right" },
      exit(0),
    );
    expect(walk(made, { getpid: 5, getppid: 5 }).at(-1)?.arguments[0]).toBe(0n);
    expect(walk(made, { getpid: 5, getppid: 6 }).at(-1)?.arguments[0]).toBe(1n);
    expect(walk(made, { getpid: 0, getppid: 0 }).at(-1)?.arguments[0]).toBe(1n);
  });

  test("lays out texts, vectors, bytes and filters", () => {
    const made = program(
      call("exec", "execve", [
        "/bin/ü",
        { kind: "strings", strings: ["a", "", "c"] },
        { kind: "filter", instructions: words(1, 2, 3) },
      ]),
      exit(0),
    );
    const machine = new FakeMachine(emitImage(made, "x64").image, "x64");
    machine.run(({ number }) => (number === EXIT ? ENDS : 0));
    const [path = 0n, vector = 0n, filter = 0n] = machine.seen[0]?.arguments ?? [];
    expect(machine.text(Number(path))).toBe("/bin/ü");
    const pointers = [0, 8, 16, 24].map((offset) => Number(machine.word(Number(vector) + offset)));
    expect(pointers.slice(0, 3).map((pointer) => machine.text(pointer))).toEqual(["a", "", "c"]);
    expect(pointers[3]).toBe(0);
    expect(new DataView(machine.bytes(Number(filter), 2).buffer).getUint16(0, true)).toBe(3);
    expect(machine.bytes(Number(machine.word(Number(filter) + 8)), 24)).toEqual(words(1, 2, 3));
  });

  test("takes programs of a megabyte", () => {
    const long = "x".repeat(1_000_000);
    const machine = new FakeMachine(
      emitImage(program(call("exec", "execve", [long]), exit(0)), "arm64").image,
      "arm64",
    );
    machine.run(({ number }) => (number === syscallNumber("exit_group", "arm64") ? ENDS : 0));
    expect(machine.text(Number(machine.seen[0]?.arguments[0]))).toBe(long);
  });

  test("refuses an unknown label", () => {
    expect(() => emitImage(program({ kind: "goto", label: "nowhere" }), "x64")).toThrow("no label nowhere");
  });
});

describe("the machine code does what the twin does", () => {
  /** Runs for real; gives what the program wrote on the report socket, as pairs of words. */
  async function perform(
    made: SetupProgram,
  ): Promise<{ readonly records: readonly (readonly [number, bigint])[]; readonly exitCode: number | null }> {
    const spawned = spawnImage(made, { name: "test" });
    const records: (readonly [number, bigint])[] = [];
    for await (const { word, value: second } of spawned.records()) records.push([word, second]);
    await spawned.process.exited;
    spawned.closeReport();
    return { records, exitCode: spawned.process.exitCode };
  }
  const say = call("say", "write", [3, address("said"), 16]);

  test("results, variables and exit codes", async () => {
    const made = program(call("a", "getpid", [], { result: variable("said", 8) }), say, exit(3));
    const { records, exitCode } = await perform({ ...made, variables: { said: words(PID_RECORD, 0) } });
    expect([records.length, records[0]?.[0], exitCode]).toEqual([1, PID_RECORD, 3]);
    expect(Number(records[0]?.[1])).toBeGreaterThan(1);
  });

  test("bits, decimal digits and branches", async () => {
    const made = program(
      {
        kind: "bits",
        name: "mask",
        of: variable("number"),
        mask: 0xff00,
        result: variable("said"),
        onResult: { is: 0x3000, goTo: { label: "masked" } },
      },
      exit(1),
      { kind: "label", label: "masked" },
      { kind: "decimal", name: "digits", of: variable("number"), result: variable("text") },
      { kind: "bits", name: "copy", of: variable("number"), mask: 0xffff, result: variable("said", 8) },
      say,
      call("fill the first word", "write", [3, "01234567", 8]),
      call("write the digits", "write", [3, value("text"), 5]),
      call("and pad them", "write", [3, "abc", 3]),
      exit(0),
    );
    const { records, exitCode } = await perform({ ...made, variables: { number: words(12_345), said: words(0, 0) } });
    expect(exitCode).toBe(0);
    expect(records[0]).toEqual([0x3000, 12_345n]);
    expect(new TextDecoder().decode(words(records[1]?.[1] ?? 0))).toBe("12345abc");
  });

  test("failures are reported by name", async () => {
    const spawned = spawnImage(program(call("enter nowhere", "chdir", ["/no/where"]), exit(0)), { name: "test" });
    const described: string[] = [];
    for await (const record of spawned.records()) described.push(spawned.describe(record));
    await spawned.process.exited;
    spawned.closeReport();
    expect([described, spawned.process.exitCode]).toEqual([["enter nowhere: ENOENT"], 125]);
  });

  testIf("arm64-emulator", "arm64 too, emulated", async () => {
    const made = program(
      call("fails", "chdir", ["/no/where"], { onError: { label: "on" } }),
      exit(1),
      { kind: "label", label: "on" },
      {
        kind: "bits",
        name: "mask",
        of: variable("number"),
        mask: 0xff00,
        onResult: { is: 0x3000, goTo: { label: "masked" } },
      },
      exit(2),
      { kind: "label", label: "masked" },
      { kind: "decimal", name: "digits", of: variable("number"), result: variable("text") },
      call("write the digits", "write", [1, value("text"), 5]),
      call("clone", "clone", [17, 0, 0, 0, 0], {
        result: variable("child"),
        onResult: { is: 0, goTo: { label: "child" } },
      }),
      call("wait", "wait4", [value("child"), address("status"), 0, 0], {
        onResult: { is: variable("child"), goTo: { label: "waited" } },
      }),
      exit(3),
      { kind: "label", label: "waited" },
      call("exit as the child", "exit_group", [{ kind: "value", at: variable("status", 1) }]),
      { kind: "label", label: "child" },
      exit(77),
    );
    const { image } = emitImage({ ...made, variables: { number: words(12_345), status: words(0, 0) } }, "arm64");
    const path = join(mkdtempSync(join(tmpdir(), "mesh-emit-")), "image");
    writeFileSync(path, image, { mode: 0o700 });
    const child = Bun.spawn([EMULATOR, path], { stdio: ["ignore", "pipe", "inherit"] });
    expect([await child.stdout.text(), await child.exited]).toEqual(["12345", 77]);
    rmSync(dirname(path), { recursive: true });
  });

  test("both architectures have some, and it is small", () => {
    expect(machineCode("x64").length).toBeLessThan(250);
    expect(machineCode("arm64").length % 4).toBe(0);
  });
});
