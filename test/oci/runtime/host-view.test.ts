import { describe, expect, test } from "bun:test";
import { findCgroups, ownerName, parseOwnerName, startTicksOf } from "../../../src/oci/runtime/cgroup-paths.ts";
import {
  isWithin,
  mountOf,
  parseMountInfo,
  sysMounts,
  visibleHostMounts,
} from "../../../src/oci/runtime/mount-info.ts";
import { hiddenDirectories, homesOf, skeletonEntries, type SkeletonFacts } from "../../../src/oci/runtime/skeleton.ts";
import {
  findRange,
  isInitialMap,
  mapHolds,
  mapsManyIds,
  sameIds,
  nameOfUser,
} from "../../../src/oci/runtime/sub-ids.ts";

const MOUNTS = parseMountInfo(`22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 254:1 / /usr rw,relatime - ext4 /dev/vdb rw
31 30 254:2 / /usr/local rw,relatime master:3 - xfs /dev/vdc rw
32 27 254:3 / /home rw - ext4 /dev/vdd rw
33 32 0:40 / /home/a\\040b rw - fuse.sshfs host: rw
34 27 0:41 / /nix ro - btrfs /dev/vde rw
35 27 0:42 / /opt/mem rw - tmpfs tmpfs rw
36 27 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro
40 27 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
41 27 0:31 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
42 27 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`);

describe("parseMountInfo()", () => {
  test("reads places, types and options, and octal escapes", () => {
    expect(MOUNTS.find(({ type }) => type === "fuse.sshfs")).toEqual({
      device: "0:40",
      root: "/",
      path: "/home/a b",
      options: ["rw"],
      type: "fuse.sshfs",
      source: "host:",
      superOptions: ["rw"],
    });
  });

  test("skips what is no mount", () => {
    expect(parseMountInfo("\nnonsense\n")).toEqual([]);
  });
});

test("mountOf() finds the innermost mount", () => {
  expect([mountOf(MOUNTS, "/usr/local/bin")?.device, mountOf(MOUNTS, "/usrlocal")?.device]).toEqual(["254:2", "254:0"]);
});

test("isWithin() compares whole names", () => {
  expect([isWithin("/a/b", "/a"), isWithin("/ab", "/a"), isWithin("/a", "/a"), isWithin("/x", "/")]).toEqual([
    true,
    false,
    true,
    true,
  ]);
});

test("visibleHostMounts() lists system filesystems in sight, without what an outer one brings", () => {
  expect(visibleHostMounts(MOUNTS, ["/home"])).toEqual(["/nix", "/usr"]);
});

test("sysMounts() lists what is mounted on /sys, save cgroups", () => {
  const text =
    "1 2 0:7 / /sys/kernel/debug rw - debugfs none rw\n3 1 0:8 / /sys/kernel/debug/tracing rw - tracefs none rw\n";
  expect(sysMounts([...MOUNTS, ...parseMountInfo(text)])).toEqual(["/sys/kernel/debug"]);
});

describe("findCgroups()", () => {
  test("joins hierarchies with their mounts, also a partial one", () => {
    const membership = "4:memory:/user/x\n3:cpu,cpuacct:/docker/abc/job\n2:pids:/\n0::/user.slice/s.scope\n";
    expect(findCgroups(membership, MOUNTS)).toEqual({
      unified: "/sys/fs/cgroup/unified/user.slice/s.scope",
      unifiedRoot: "/sys/fs/cgroup/unified",
      legacy: { memory: "/sys/fs/cgroup/memory/user/x", cpu: "/sys/fs/cgroup/cpu,cpuacct/job" },
    });
  });

  test("finds none where none is", () => {
    expect(findCgroups("", [])).toEqual({ unified: null, unifiedRoot: null, legacy: {} });
  });
});

test("ownerName() is read back, and nothing else is", () => {
  const owner = { pidNamespace: 4_026_531_836, pid: 12, startTicks: 345 };
  expect(parseOwnerName(ownerName(owner))).toEqual(owner);
  expect([parseOwnerName("mesh-1-2"), parseOwnerName("other-1-2-3"), parseOwnerName("mesh-1-2-3-4")]).toEqual([
    null,
    null,
    null,
  ]);
});

test("startTicksOf() is not misled by a process's name", () => {
  expect(startTicksOf("7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 1 2 3 4 20 0 1 0 98765 1000 10")).toBe(98_765);
});

describe("homesOf()", () => {
  test("names root's and people's homes, no system directory", () => {
    const passwd = [
      "root:x:0:0:root:/root:/bin/bash",
      "bin:x:2:2::/bin:/usr/sbin/nologin",
      "a:x:1000:1000::/data/a/:/bin/sh",
      "b:x:1001:1001::/:/bin/sh",
      "c:x:1002:1002::relative:/bin/sh",
      "nobody:x:65534:65534::/nonexistent:/bin/sh",
      "postgres:x:101:104::/var/lib/postgresql:/bin/bash",
    ];
    expect(homesOf(passwd.join("\n"))).toEqual(["/data/a", "/root"]);
  });
});

const FACTS: SkeletonFacts = {
  root: "host",
  parts: null,
  singleId: false,
  homes: ["/data/a", "/root"],
  meshHome: "/data/mesh",
  secretFiles: ["/etc/shadow"],
  secretDirectories: ["/etc/ssl/private"],
};

describe("skeletonEntries()", () => {
  const byPath = (facts: SkeletonFacts) => new Map(skeletonEntries(facts).map((entry) => [entry.path, entry]));

  test("hides people, secrets and mesh over the host", () => {
    const entries = byPath(FACTS);
    const hidden = ["/home", "/tmp", "/data/a", "/data/mesh", "/etc/ssl/private", "/workspace", "/mesh"];
    expect(hidden.map((path) => entries.get(path)?.kind)).toEqual(hidden.map(() => "empty"));
    expect(["/data", "/etc", "/etc/ssl", "/var"].map((path) => entries.get(path)?.kind)).toEqual([
      "merged",
      "merged",
      "merged",
      "merged",
    ]);
    expect(entries.get("/etc/shadow")).toEqual({ kind: "file", path: "/etc/shadow", mode: 0o600, content: "" });
    expect(entries.get("/tmp")).toEqual({ kind: "empty", path: "/tmp", mode: 0o1777 });
  });

  test("puts parents before children and each path once", () => {
    const paths = skeletonEntries(FACTS).map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    for (const path of paths) {
      const parent = path.slice(0, path.lastIndexOf("/"));
      if (parent !== "") expect(paths.indexOf(parent)).toBeLessThan(paths.indexOf(path));
    }
  });

  test("gives images mount points and hides nothing of theirs", () => {
    const entries = byPath({ ...FACTS, root: "layers", homes: [], secretFiles: [], secretDirectories: [] });
    expect([...entries.values()].filter(({ kind }) => kind === "empty")).toEqual([]);
    expect(["/proc", "/dev", "/sys", "/mesh", "/workspace"].every((path) => entries.has(path))).toBe(true);
  });

  test("carries the top of a host that is shown in parts", () => {
    const parts = { links: { "/bin": "usr/bin" }, directories: ["/usr", "/etc"], writable: ["/usr/local/bin"] };
    const entries = byPath({ ...FACTS, parts });
    expect(entries.get("/bin")).toEqual({ kind: "link", path: "/bin", target: "usr/bin" });
    expect(["/usr", "/usr/local", "/usr/local/bin", "/proc"].map((path) => entries.get(path)?.kind)).toEqual([
      "merged",
      "merged",
      "merged",
      "merged",
    ]);
  });

  test("keeps apt as root where root is the only user", () => {
    expect(byPath({ ...FACTS, singleId: true }).has("/etc/apt/apt.conf.d/99single-id")).toBe(true);
    expect(byPath(FACTS).has("/etc/apt/apt.conf.d/99single-id")).toBe(false);
  });
});

test("hiddenDirectories() leaves out what another one covers", () => {
  const hidden = hiddenDirectories({ ...FACTS, meshHome: "/home/a/.local/share/mesh", homes: ["/home/a", "/data/a"] });
  expect(hidden).toContain("/home");
  expect(hidden).toContain("/data/a");
  expect(hidden).not.toContain("/home/a");
});

describe("findRange()", () => {
  const text = "other:1:65536\nalice:100000:1000\n1000:200000:65536\nalice:300000:70000\n";

  test("takes the first that is large enough, by name or number", () => {
    expect(findRange(text, { name: "alice", id: 1000 })).toEqual({ start: 200_000, count: 65_536 });
    expect(findRange(text, { name: "alice", id: 7 })).toEqual({ start: 300_000, count: 70_000 });
  });

  test("finds none for a user without one", () => {
    expect(findRange(text, { name: "bob", id: 8 })).toBeNull();
  });
});

describe("sameIds()", () => {
  test("maps 0 to 65535 to themselves", () => {
    expect(sameIds("         0          0 4294967295\n")).toBe("0 0 65536");
  });

  test("follows the parent's extents", () => {
    expect(sameIds("0 1000 1\n1 100000 65536\n")).toBe("0 0 1\n1 1 65535");
    expect(sameIds("0 1000 1\n")).toBe("0 0 1");
  });
});

test("mapsManyIds() and isInitialMap() tell the machine's map, a container's and one single id apart", () => {
  const maps = [
    "         0          0 4294967295\n",
    "0 100000 65536\n",
    "0 1000 1\n",
    "0 0 1\n",
    "0 0 1\n1 100000 65536\n",
    "",
  ];
  expect(maps.map((map) => [mapsManyIds(map), isInitialMap(map)])).toEqual([
    [true, true],
    [true, false],
    [false, false],
    [false, false],
    [true, false],
    [false, false],
  ]);
});

test("nameOfUser() reads /etc/passwd, whatever the environment says", () => {
  const passwd = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n# 1001\n";
  expect([nameOfUser(passwd, 1000), nameOfUser(passwd, 1001), nameOfUser("", 0)]).toEqual(["ada", null, null]);
});

test("mapHolds() knows ranges that a container's own map leaves out", () => {
  const range = { start: 100_000, count: 65_536 };
  const maps = ["0 0 4294967295\n", "0 100000 65536\n", "0 0 100000\n100000 100000 65535\n", "100001 0 65536\n", ""];
  expect(maps.map((map) => mapHolds(map, range))).toEqual([true, false, true, false, false]);
});
