import { describe, expect, test } from "bun:test";
import type { ContextSpec } from "../../../src/oci/runtime/context-spec.ts";
import { plan } from "../../../src/oci/runtime/plan.ts";
import type { Allotment, MachineFacts } from "../../../src/oci/runtime/plan-input.ts";
import { emitImage } from "../../../src/oci/runtime/emit.ts";
import type { Argument, SetupOp } from "../../../src/oci/runtime/setup-op.ts";

const MACHINE: MachineFacts = {
  architecture: "x64",
  parentPid: 100,
  stage: "/home/u/mesh/context/stage",
  hostBind: "/home/u/mesh/context/host",
  hasOwnPidMax: true,
  maskedFiles: ["/proc/kcore"],
  maskedDirectories: ["/proc/acpi"],
  readOnlyPaths: ["sys"],
  sysMounts: ["/sys/kernel/debug"],
  hostRoot: "stacked",
  hostMounts: ["/nix"],
  deviceNodes: ["null"],
};

const ALLOTMENT: Allotment = {
  skeleton: "/skeleton",
  idMap: { uidMap: "0 1000 1", gidMap: "0 1000 1", denySetgroups: true, insideNamespace: false, hasTtyGroup: false },
  hostParts: [],
  cgroupTaskFiles: [],
  cgroupDirectory: null,
  processLimit: null,
  cpuMask: null,
  resolvConf: null,
  bindKinds: [],
  hidden: [],
  filter: new Uint8Array(8),
};

const SPEC: ContextSpec = {
  root: { kind: "host", lowers: ["/layers/top", "/layers/below"], upper: "/s/upper", work: "/s/work" },
  argv: ["sh", "-c", "true"],
  env: { PATH: "/usr/bin:/bin", A: "1" },
  cwd: "/workspace",
  hostname: "task",
  network: "none",
  binds: [],
  hidden: [],
  limits: { memoryBytes: null, cpuMilli: null, pids: 10 },
  idMap: "single",
  tmpfsTmp: false,
};

interface Changes {
  readonly spec?: Partial<ContextSpec>;
  readonly machine?: Partial<MachineFacts>;
  readonly allotment?: Partial<Allotment>;
}

function operations({ spec, machine, allotment }: Changes = {}): readonly SetupOp[] {
  return plan({ ...SPEC, ...spec }, { ...MACHINE, ...machine }, { ...ALLOTMENT, ...allotment }).operations;
}

/** Readable form: "mount overlay: mount(overlay, /stage/root, overlay, 0, ...)". */
function lines(changes: Changes = {}): readonly string[] {
  return operations(changes).flatMap((op) =>
    op.kind === "call" ? [`${op.name}: ${op.call}(${op.arguments.map(shown).join(", ")})`] : [],
  );
}

function shown(argument: Argument): string {
  if (typeof argument !== "object") return String(argument);
  if (argument.kind === "strings") return `[${argument.strings.join(" ")}]`;
  return argument.kind;
}

const find = (all: readonly string[], start: string) => all.filter((line) => line.startsWith(start));

describe("plan()", () => {
  test("stacks layers, skeleton and the wrapped host, top first", () => {
    const all = lines();
    expect(find(all, "enter the namespace of the host's mounts")).toHaveLength(1);
    expect(find(all, "mount overlay")).toEqual([
      "mount overlay of the host's root: mount(overlay, /home/u/mesh/context/stage/host, overlay, 1, userxattr,lowerdir=/home/u/mesh/context/stage/empty:/home/u/mesh/context/host)",
      "mount overlay: forget the last one: unlinkat(-100, /s/work/work/incompat/volatile/dirty, 0)",
      "mount overlay: forget the last one: unlinkat(-100, /s/work/work/incompat/volatile, 512)",
      "mount overlay: mount(overlay, /home/u/mesh/context/stage/root, overlay, 0, userxattr,volatile,lowerdir=/layers/top:/layers/below:/skeleton:/home/u/mesh/context/stage/host,upperdir=/s/upper,workdir=/s/work)",
    ]);
  });

  test("shows no host below layers alone", () => {
    const all = lines({ spec: { root: { ...SPEC.root, kind: "layers" } } });
    expect(find(all, "enter the namespace of the host's mounts")).toEqual([]);
    expect(find(all, "bind the host's")).toEqual([]);
    expect(find(all, "mount overlay")).toEqual([
      "mount overlay: forget the last one: unlinkat(-100, /s/work/work/incompat/volatile/dirty, 0)",
      "mount overlay: forget the last one: unlinkat(-100, /s/work/work/incompat/volatile, 512)",
      "mount overlay: mount(overlay, /home/u/mesh/context/stage/root, overlay, 0, userxattr,volatile,lowerdir=/layers/top:/layers/below:/skeleton,upperdir=/s/upper,workdir=/s/work)",
    ]);
  });

  test("shows the host in parts where nobody may bind it whole", () => {
    const all = lines({
      machine: { hostRoot: "parts" },
      allotment: {
        hostParts: [
          { path: "/usr", lowers: null },
          { path: "/etc", lowers: ["/layers/top/etc"] },
        ],
      },
    });
    expect(find(all, "enter the namespace of the host's mounts")).toEqual([]);
    expect(find(all, "bind the host's /usr")).toEqual(["bind the host's /usr: mount(usr, /usr, 0, 20480, 0)"]);
    expect(find(all, "mount overlay of /etc")).toEqual([
      "mount overlay of /etc: forget the last one: unlinkat(-100, s/work/part-etc/work/incompat/volatile/dirty, 0)",
      "mount overlay of /etc: forget the last one: unlinkat(-100, s/work/part-etc/work/incompat/volatile, 512)",
      "mount overlay of /etc: mount(overlay, /etc, overlay, 0, userxattr,volatile,lowerdir=layers/top/etc:etc,upperdir=s/upper/etc,workdir=s/work/part-etc)",
    ]);
  });

  test("hands long stacks over one at a time", () => {
    const lowers = Array.from({ length: 200 }, (_, index) => `/layers/${"x".repeat(64)}-${index}`);
    const all = lines({ spec: { root: { ...SPEC.root, lowers } } });
    expect(find(all, "mount overlay: lowerdir+").length).toBe(202);
    expect(find(all, "mount overlay: lowerdir+")[0]).toContain(`lowerdir+, ${lowers[0] ?? ""}`);
  });

  test("gives up privileges in the one safe order, right before the exec", () => {
    const names = operations().flatMap((op) => ("name" in op ? [op.name] : []));
    const order = [
      "pivot_root",
      "mount /proc",
      "make /proc/sys read-only",
      "unmount the host's root",
      "start the task's process",
      "drop CAP_SYS_ADMIN",
      "set capabilities",
      "give up new privileges",
      "keep no descriptor beyond the exec",
      "filter system calls",
      "wait for the command",
      "chdir",
      "exec",
    ];
    const places = order.map((name) => names.indexOf(name));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(order.filter((name) => !names.includes(name))).toEqual([]);
  });

  test("mounts nothing from a path that a layer could bend: targets are absolute, sources relative or unnamed", () => {
    const all = operations({
      spec: { binds: [{ source: "/src/a", target: "/workspace/x", readonly: true }] },
      allotment: { bindKinds: ["directory"] },
    });
    const pivot = all.findIndex((op) => "name" in op && op.name === "pivot_root");
    const mounts = all.slice(pivot).filter((op) => op.kind === "call" && op.call === "mount");
    for (const mount of mounts) {
      if (mount.kind !== "call") continue;
      const [source, target] = mount.arguments;
      // The one exception binds the context's own fresh /proc.
      if (mount.name !== "bind /proc to be read-only")
        expect([mount.name, shown(source ?? "").startsWith("/")]).toEqual([mount.name, false]);
      if (!mount.name.includes("empty directory") && !mount.name.includes("to be read-only")) {
        expect([mount.name, shown(target ?? "").startsWith("/")]).toEqual([mount.name, true]);
      }
    }
  });

  test("makes a network namespace unless the host's is wanted", () => {
    const NEWNET = 0x40000000;
    const flags = (network: ContextSpec["network"]) => {
      const birth = operations({ spec: { network } }).find((op) => "name" in op && op.name === "make the namespaces");
      return birth?.kind === "call" ? Number(birth.arguments[0]) & NEWNET : null;
    };
    expect([flags("none"), flags("host"), flags("nat")]).toEqual([NEWNET, 0, NEWNET]);
    expect(find(lines({ spec: { network: "nat" } }), "wait for the network").length).toBe(1);
    expect(find(lines({ spec: { network: "host" } }), "start the loopback").length).toBe(0);
  });

  test("joins version 1 cgroups before the namespaces, and is born in a version 2 one", () => {
    const all = lines({ allotment: { cgroupTaskFiles: ["/sys/fs/cgroup/pids/x/tasks"] } });
    const join = all.findIndex((line) => line.includes("openat(-100, /sys/fs/cgroup/pids/x/tasks"));
    const birth = all.findIndex((line) => line.startsWith("make the namespaces"));
    expect([join >= 0, join < birth]).toEqual([true, true]);
    expect(find(lines({ allotment: { cgroupDirectory: "/sys/fs/cgroup/x" } }), "make the namespaces")).toEqual([
      "make the namespaces: clone3(address, 88)",
    ]);
  });

  test("writes pid_max only where it is the context's own, and no cgroup counts processes", () => {
    const count = (hasOwnPidMax: boolean, processLimit: number | null) =>
      find(lines({ machine: { hasOwnPidMax }, allotment: { processLimit } }), "limit process ids").length;
    expect([count(true, 40), count(false, 40), count(true, null)]).toEqual([3, 0, 0]);
  });

  test("can be encoded for both architectures", () => {
    const everything: Changes = {
      spec: {
        network: "nat",
        tmpfsTmp: true,
        devices: ["/dev/nvidia0"],
        binds: [{ source: "/src/file", target: "/mesh/in/file", readonly: true }],
        limits: { memoryBytes: 1 << 20, cpuMilli: 500, pids: 10 },
      },
      allotment: {
        idMap: { ...ALLOTMENT.idMap, insideNamespace: true },
        cgroupDirectory: "/sys/fs/cgroup/x",
        processLimit: 10,
        cpuMask: new Uint8Array(8).fill(1),
        resolvConf: "nameserver 10.0.2.3\n",
        bindKinds: ["file"],
        hidden: ["/data"],
      },
    };
    const program = plan(
      { ...SPEC, ...everything.spec },
      { ...MACHINE, ...everything.machine },
      { ...ALLOTMENT, ...everything.allotment },
    );
    for (const architecture of ["x64", "arm64"] as const)
      expect(emitImage(program, architecture).image.length).toBeGreaterThan(10_000);
  });
});
