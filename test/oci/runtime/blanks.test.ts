import { describe, expect, test } from "bun:test";
import { fillBlanks, hasBlanks, outlineOf } from "../../../src/oci/runtime/blanks.ts";
import type { ContextSetup } from "../../../src/oci/runtime/context-spec.ts";
import { emitForm, fillImage } from "../../../src/oci/runtime/emit.ts";
import { plan } from "../../../src/oci/runtime/plan.ts";
import type { Allotment, MachineFacts } from "../../../src/oci/runtime/plan-input.ts";
import { call, type SetupOp } from "../../../src/oci/runtime/setup-op.ts";
import { syscallNumber } from "../../../src/oci/runtime/syscalls.ts";
import { ENDS, FakeMachine } from "../../fake/oci-machine.ts";

const MACHINE: MachineFacts = {
  architecture: "x64",
  parentPid: 100,
  stage: "/home/u/mesh/context/stage",
  hostBind: "/home/u/mesh/context/host",
  hasOwnPidMax: true,
  maskedFiles: [],
  maskedDirectories: [],
  readOnlyPaths: [],
  sysMounts: [],
  hostRoot: "parts",
  hostMounts: [],
  deviceNodes: [],
};

const ALLOTMENT: Allotment = {
  skeleton: "/skeleton",
  idMap: { uidMap: "0 1000 1", gidMap: "0 1000 1", denySetgroups: true, insideNamespace: false, hasTtyGroup: false },
  hostParts: [{ path: "/etc", lowers: ["/layers/top/etc"] }],
  cgroupTaskFiles: ["/sys/fs/cgroup/pids/7/tasks"],
  cgroupDirectory: null,
  processLimit: null,
  cpuMask: null,
  resolvConf: null,
  bindKinds: ["directory"],
  hidden: [],
  filter: new Uint8Array(8),
};

const SETUP: ContextSetup = {
  root: { kind: "host", lowers: ["/layers/top", "/layers/below"], upper: "/s/é/upper", work: "/s/é/work" },
  hostname: "task",
  network: "none",
  binds: [{ source: "/s/é/io", target: "/mesh/io", readonly: false }],
  hidden: [],
  limits: { memoryBytes: null, cpuMilli: null, pids: 10 },
  idMap: "single",
  tmpfsTmp: false,
};

function textsOf(operations: readonly SetupOp[], paths: readonly string[] = []): readonly string[] {
  return operations.flatMap((op) =>
    op.kind === "call"
      ? [op.name, ...op.arguments.filter((argument) => typeof argument === "string")].map((text) =>
          fillBlanks(text, paths),
        )
      : [],
  );
}

describe("outlineOf()", () => {
  test("leaves out each path of the context's own, so that a plan of it becomes the context's when it is filled in", () => {
    const outline = outlineOf(SETUP, ALLOTMENT);
    expect(outline?.paths).toEqual([
      "/layers/top",
      "/layers/below",
      "/s/é/upper",
      "/s/é/work",
      "/s/é/io",
      "/sys/fs/cgroup/pids/7/tasks",
    ]);
    if (outline === null) return;
    const planned = plan(outline.setup, MACHINE, outline.allotment).operations;
    expect(textsOf(planned).filter((text) => text.includes("/s/"))).toEqual([]);
    expect(textsOf(planned, outline.paths)).toEqual(textsOf(plan(SETUP, MACHINE, ALLOTMENT).operations));
  });

  test.each(["/s/a,b", "/s/a:b", "/s/a\\b", "/s/⟦0⟧"])("refuses %j, which a plan writes in another way", (upper) => {
    expect(outlineOf({ ...SETUP, root: { ...SETUP.root, upper } }, ALLOTMENT)).toBeNull();
  });

  test("refuses paths that may not fit into short mount options", () => {
    const lowers = Array.from({ length: 30 }, (_, index) => `/layers/${"x".repeat(50)}-${index}`);
    expect(outlineOf({ ...SETUP, root: { ...SETUP.root, lowers } }, ALLOTMENT)).toBeNull();
  });
});

test("fillImage() puts the same text wherever it is wanted, and names operations with it", () => {
  const blank = "x/⟦0⟧/y";
  const form = emitForm(
    {
      variables: {},
      operations: [
        call(`enter ${blank}`, "chdir", [blank]),
        call("make it", "mkdirat", [0, blank, 0]),
        call("make another", "mkdirat", [0, "plain", 0]),
        call("end", "exit_group", [0]),
      ],
    },
    "x64",
  );
  for (const path of ["/a", "/a/much/longer/path"]) {
    const filled = fillImage(form, [path]);
    const machine = new FakeMachine(filled.image, "x64");
    machine.run(({ number }) => (number === syscallNumber("exit_group", "x64") ? ENDS : 0));
    const [chdir, make, other] = machine.seen;
    const text = (at: bigint | undefined) => machine.text(Number(at));
    expect([text(chdir?.arguments[0]), text(make?.arguments[1]), text(other?.arguments[1])]).toEqual([
      `x/${path.slice(1)}/y`,
      `x/${path.slice(1)}/y`,
      "plain",
    ]);
  }
  expect(hasBlanks(blank)).toBe(true);
  expect(hasBlanks("/s/upper")).toBe(false);
});
