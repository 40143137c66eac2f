// Finds out what this machine can do for contexts, one ability at a time, with the reason and the remedy where it can't.
// Each probe tries the thing itself; sysctls are read only to explain a refusal. It changes nothing that lasts.

import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { isWritable, readText } from "../../base/io/text-files.ts";
import { getXattr, makeWhiteout, setXattr } from "../../base/io/libc.ts";
import { formatBytes } from "../../base/units.ts";
import { findCgroups } from "../runtime/cgroup-paths.ts";
import type { ContextSpec, IdMapKind } from "../runtime/context-spec.ts";
import { mountOf } from "../runtime/mount-info.ts";
import { address, call, type SetupProgram, value, variable } from "../runtime/setup-op.ts";
import { readMounts } from "./host-root.ts";
import { bestIdMap, newIdMapPrograms, subordinateRanges } from "./id-map.ts";
import { ContextRuntime } from "./launch.ts";
import { gpuNames } from "./gpus.ts";
import { networkHelpers } from "./network.ts";
import { mayGainPrivileges } from "./privilege.ts";
import { spawnImage } from "./spawn-image.ts";

export interface Ability {
  /** Stable, for programs: "user-namespaces". */
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  /** What was found. */
  readonly detail: string;
  /** What to do about it; null when nothing needs to be done. */
  readonly remedy: string | null;
}

/** Every ability, in an order that tells the cause before the effect. `home` is MESH_HOME; it is made when it is missing. */
export async function probeAbilities(options: { readonly home: string }): Promise<readonly Ability[]> {
  const [namespaces, context] = [await probeUserNamespaces(), await probeContext(options.home)];
  return [
    namespaces,
    probeStoreFilesystem(options.home),
    context.ability,
    probeSeccomp(),
    ...probeSubordinateIds(),
    ...context.limits,
    probeDelegation(),
    probeNetworkHelper(),
    probeTun(),
    await probeGpu(),
    probeFreeSpace(options.home),
  ];
}

// --- namespaces ------------------------------------------------------------------------------------------------------

/** A child in a user and a mount namespace that ends at once. */
const NAMESPACE_PROGRAM: SetupProgram = {
  variables: {},
  operations: [
    call("make a user namespace", "clone", [0x10000000 | 0x20000 | 17, 0, 0, 0, 0], {
      result: variable("child"),
      onResult: { is: 0, goTo: { label: "child" } },
    }),
    call("wait", "wait4", [value("child"), address("status"), 0, 0]),
    { kind: "label", label: "child" },
    call("end", "exit_group", [0]),
  ],
};

async function probeUserNamespaces(): Promise<Ability> {
  const base = { id: "user-namespaces", title: "User namespaces" };
  const refusal = await refusalOf(NAMESPACE_PROGRAM);
  const restriction = namespaceRestriction();
  if (refusal === null && restriction?.appliesAfterwards !== true)
    return { ...base, ok: true, detail: `Linux ${release()} makes them`, remedy: null };
  return {
    ...base,
    ok: false,
    detail: [refusal ?? "they are made, but without privileges inside", restriction?.detail].filter(Boolean).join("; "),
    remedy:
      restriction?.remedy ??
      "Use a kernel with CONFIG_USER_NS, or allow user namespaces in the container that mesh runs in.",
  };
}

async function refusalOf(program: SetupProgram): Promise<string | null> {
  try {
    const spawned = spawnImage(program, { name: "mesh-probe" });
    let refusal: string | null = null;
    for await (const record of spawned.records()) refusal ??= spawned.describe(record);
    await spawned.process.exited;
    spawned.closeReport();
    return refusal;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

interface Restriction {
  readonly detail: string;
  readonly remedy: string;
  /** Whether namespaces are made all the same, and are of no use. */
  readonly appliesAfterwards: boolean;
}

/** Sysctls by which distributions keep ordinary users from namespaces. */
function namespaceRestriction(): Restriction | null {
  if (process.getuid?.() === 0) return null;
  const sysctl = (name: string) => readText(`/proc/sys/${name.replaceAll(".", "/")}`).trim();
  const rows = [
    // Ubuntu 23.10 and later: the namespace is made, but its capabilities are taken away unless a profile grants them.
    { name: "kernel.apparmor_restrict_unprivileged_userns", bad: "1", good: "0", appliesAfterwards: true },
    // Debian's and Arch's own switch.
    { name: "kernel.unprivileged_userns_clone", bad: "0", good: "1", appliesAfterwards: false },
    { name: "user.max_user_namespaces", bad: "0", good: "15000", appliesAfterwards: false },
  ];
  for (const { name, bad, good, appliesAfterwards } of rows) {
    if (sysctl(name) !== bad) continue;
    if (appliesAfterwards && hasAppArmorProfile()) continue;
    const setting = `${name}=${good}`;
    const remedy = `sudo sysctl -w ${setting}; to keep it: echo ${setting} | sudo tee /etc/sysctl.d/60-mesh.conf`;
    return { detail: `${name} is ${bad}`, remedy, appliesAfterwards };
  }
  return null;
}

/** Whether a profile other than the restricted default applies to this process. */
function hasAppArmorProfile(): boolean {
  const profile = readText("/proc/self/attr/apparmor/current").trim() || readText("/proc/self/attr/current").trim();
  return profile !== "" && !profile.startsWith("unconfined");
}

// --- a real context --------------------------------------------------------------------------------------------------

async function probeContext(home: string): Promise<{ readonly ability: Ability; readonly limits: readonly Ability[] }> {
  const base = { id: "context", title: "A task's context over this machine's root filesystem" };
  let scratch: string | null = null;
  try {
    mkdirSync(home, { recursive: true });
    scratch = mkdtempSync(join(home, "probe-"));
    await using runtime = ContextRuntime.open({ home: scratch });
    const context = await runtime.start(trueOverHost(scratch), { stdin: "null", output: () => undefined });
    const exit = await context.exited;
    const ok = exit.exitCode === 0;
    const detail = ok
      ? `/bin/sh ran with ids mapped as "${bestIdMap()}"`
      : `/bin/sh ended with ${exit.signal ?? exit.exitCode}`;
    return {
      ability: { ...base, ok, detail, remedy: ok ? null : "Look at the abilities above." },
      limits: limitAbilities(runtime),
    };
  } catch (error) {
    const detail = error instanceof Error ? [error.message, causeOf(error)].filter(Boolean).join(": ") : String(error);
    const remedy = "Mend what is missing above, or run tasks without isolation: the `process` backend.";
    return { ability: { ...base, ok: false, detail, remedy }, limits: [] };
  } finally {
    if (scratch !== null) removeScratch(scratch);
  }
}

function trueOverHost(scratch: string): ContextSpec {
  const [upper, work] = [join(scratch, "upper"), join(scratch, "work")];
  mkdirSync(upper);
  mkdirSync(work);
  return {
    root: { kind: "host", lowers: [], upper, work },
    argv: ["/bin/sh", "-c", "exit 0"],
    env: {},
    cwd: "/workspace",
    hostname: "probe",
    network: "none",
    binds: [],
    hidden: [],
    limits: { memoryBytes: 256 * 1024 * 1024, cpuMilli: null, pids: 64 },
    idMap: bestIdMap(),
    tmpfsTmp: false,
  };
}

function limitAbilities({ mechanisms }: ContextRuntime): readonly Ability[] {
  const rows = [
    { id: "limit-memory", title: "Memory limit", held: mechanisms.memory, fallback: "a watchdog looks every 50 ms" },
    { id: "limit-cpu", title: "CPU limit", held: mechanisms.cpu, fallback: "whole CPUs are given by affinity" },
    {
      id: "limit-pids",
      title: "Process limit",
      held: mechanisms.pids,
      fallback:
        process.getuid?.() === 0 ? "a watchdog looks every 50 ms" : "RLIMIT_NPROC in the context's own user namespace",
    },
  ];
  return rows.map(({ id, title, held, fallback }) => ({
    id,
    title,
    ok: true,
    detail: held === "fallback" ? fallback : `held by ${held}`,
    remedy: held === "fallback" ? DELEGATION_REMEDY : null,
  }));
}

function removeScratch(path: string): void {
  try {
    Bun.spawnSync(["chmod", "-R", "u+rwx", path], { stdio: ["ignore", "ignore", "ignore"] });
    rmSync(path, { recursive: true, force: true });
  } catch {
    // An unwritable MESH_HOME shows in another ability.
  }
}

// --- ids, limits -----------------------------------------------------------------------------------------------------

function probeSubordinateIds(): readonly Ability[] {
  const user = Bun.env["USER"] ?? "$USER";
  const ranges = subordinateRanges();
  const programs = newIdMapPrograms();
  const needless = process.getuid?.() === 0;
  return [
    {
      id: "subordinate-ids",
      title: "Subordinate user and group ids",
      ok: needless || ranges !== null,
      detail: ranges
        ? `${ranges.uids.count} from ${ranges.uids.start}`
        : needless
          ? "root needs none"
          : "none: one id is mapped, and chown-like calls are answered with success without being done",
      remedy:
        needless || ranges ? null : `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user}`,
    },
    {
      id: "newuidmap",
      title: "newuidmap and newgidmap",
      ok: needless || (programs !== null && mayGainPrivileges()),
      detail: needless ? "root needs none" : helperDetail(programs),
      remedy: needless || programs ? null : "Install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora).",
    },
    { id: "ids", title: "User and group ids in contexts", ok: true, detail: ID_WORDS[bestIdMap()], remedy: null },
  ];
}

function helperDetail(programs: ReturnType<typeof newIdMapPrograms>): string {
  if (programs === null) return "not installed";
  return mayGainPrivileges() ? programs.uid : `${programs.uid}, without effect: mesh runs under no_new_privs`;
}

/** What each map means to a task. */
const ID_WORDS: Readonly<Record<IdMapKind, string>> = {
  identity: "this machine's own",
  range: "root is this user, and 65,535 subordinate ids are the others",
  single: "root alone: chown and its like are answered with success without being done",
};

const DELEGATION_REMEDY = "Start mesh in a delegated scope: systemd-run --user --scope -p Delegate=yes mesh ...";

function probeDelegation(): Ability {
  const base = { id: "cgroups", title: "Control groups that mesh may use" };
  const place = findCgroups(readText("/proc/self/cgroup"), readMounts());
  if (place.unified !== null && isWritable(place.unified) && isWritable(join(place.unified, "cgroup.procs"))) {
    const controllers = readText(join(place.unified, "cgroup.controllers")).trim();
    if (controllers.includes("memory") && controllers.includes("pids")) {
      return { ...base, ok: true, detail: `version 2 at ${place.unified}: ${controllers}`, remedy: null };
    }
  }
  const legacy = Object.entries(place.legacy).flatMap(([controller, directory]) =>
    isWritable(directory) ? [controller] : [],
  );
  if (legacy.length > 0) return { ...base, ok: true, detail: `version 1: ${legacy.join(", ")}`, remedy: null };
  return { ...base, ok: false, detail: "none is writable", remedy: DELEGATION_REMEDY };
}

function probeSeccomp(): Ability {
  const actions = readText("/proc/sys/kernel/seccomp/actions_avail").trim();
  const ok = actions.includes("errno");
  return {
    id: "seccomp",
    title: "System call filter",
    ok,
    detail: ok ? `seccomp: ${actions}` : "the kernel has none",
    remedy: ok ? null : "Use a kernel with CONFIG_SECCOMP_FILTER.",
  };
}

// --- network, GPU, disk ----------------------------------------------------------------------------------------------

function probeNetworkHelper(): Ability {
  const helpers = networkHelpers();
  return {
    id: "network-helper",
    title: "Helper for networks of the kind `nat`",
    ok: helpers.length > 0,
    detail:
      helpers.length > 0 ? helpers.map(({ path }) => path).join(", ") : "neither slirp4netns nor pasta is installed",
    remedy: helpers.length > 0 ? null : "Install slirp4netns or passt; `none` and `host` need no helper.",
  };
}

function probeTun(): Ability {
  const ok = isWritable("/dev/net/tun");
  return {
    id: "tun",
    title: "/dev/net/tun, which that helper needs",
    ok,
    detail: ok ? "usable" : existsSync("/dev/net/tun") ? "not accessible to this user" : "missing",
    remedy: ok ? null : existsSync("/dev/net/tun") ? "sudo chmod 0666 /dev/net/tun" : "sudo modprobe tun",
  };
}

async function probeGpu(): Promise<Ability> {
  const base = { id: "gpu", title: "GPUs", remedy: null };
  const names = await gpuNames();
  return { ...base, ok: names.length > 0, detail: names.length > 0 ? names.join(", ") : "none found" };
}

/** A layer needs user extended attributes and whiteouts on the filesystem of MESH_HOME. */
function probeStoreFilesystem(home: string): Ability {
  const base = { id: "store-filesystem", title: "MESH_HOME can hold layers" };
  let scratch: string | null = null;
  try {
    mkdirSync(home, { recursive: true });
    scratch = mkdtempSync(join(home, "probe-"));
    const type = mountOf(readMounts(), scratch)?.type ?? "unknown";
    setXattr(scratch, "user.overlay.opaque", new TextEncoder().encode("y"));
    if (getXattr(scratch, "user.overlay.opaque") === null) throw new Error("extended attributes are not kept");
    makeWhiteout(join(scratch, "whiteout"));
    return { ...base, ok: true, detail: `${home} on ${type}`, remedy: null };
  } catch (error) {
    const detail = `${home}: ${error instanceof Error ? error.message : String(error)}`;
    return {
      ...base,
      ok: false,
      detail,
      remedy: "Set MESH_HOME to a folder on a local ext4, xfs or btrfs filesystem.",
    };
  } finally {
    if (scratch !== null) removeScratch(scratch);
  }
}

const LITTLE_SPACE_BYTES = 2 * 1024 ** 3;

function probeFreeSpace(home: string): Ability {
  const base = { id: "free-space", title: "Free space in MESH_HOME" };
  try {
    const { bavail, bsize } = statfsSync(home);
    const bytes = bavail * bsize;
    const ok = bytes >= LITTLE_SPACE_BYTES;
    return {
      ...base,
      ok,
      detail: formatBytes(bytes),
      remedy: ok ? null : "Free some space, or run `mesh cache prune`.",
    };
  } catch (error) {
    return {
      ...base,
      ok: false,
      detail: error instanceof Error ? error.message : String(error),
      remedy: "Make the folder, or set MESH_HOME.",
    };
  }
}

// --- helpers ---------------------------------------------------------------------------------------------------------

function causeOf(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : "";
}
