import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { MeshError } from "../../../src/base/errors.ts";
import { getXattr } from "../../../src/base/io/libc.ts";
import { isAlive } from "../../../src/oci/io/processes.ts";
import { TestContexts } from "../../fake/oci-contexts.ts";
import { CONTEXTS } from "../../support/abilities.ts";
import { describeIf, testIf } from "../../support/require.ts";

let contexts: TestContexts;
beforeAll(() => {
  contexts = new TestContexts();
});
afterAll(() => contexts[Symbol.asyncDispose]());

describeIf(CONTEXTS, "start() gives back how the task ended", () => {
  test("exit code, and both streams apart", async () => {
    const { exit, stdout, stderr } = await contexts.run("echo out; echo err >&2; exit 7");
    expect({ ...exit, used: null, stdout, stderr }).toEqual({
      exitCode: 7,
      signal: null,
      outOfMemory: false,
      used: null,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  test.each(["SIGKILL", "SIGSEGV", "SIGTERM"])("signal %s", async (signal) => {
    const { exit } = await contexts.run(`kill -${signal.slice(3)} $$`);
    expect([exit.exitCode, exit.signal]).toEqual([null, signal]);
  });

  test("exit code 143 is not taken for a signal", async () => {
    const { exit } = await contexts.run("exit 143");
    expect([exit.exitCode, exit.signal]).toEqual([143, null]);
  });

  test("CPU time of all its processes", async () => {
    const { exit } = await contexts.run("(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done) & wait");
    expect(exit.used.cpuMs).toBeGreaterThan(50);
  });
});

describeIf(CONTEXTS, "start() delivers output", () => {
  test("of 100 MB, whole", async () => {
    let sizeBytes = 0;
    const spec = contexts.spec(["/usr/bin/head", "-c", "100000000", "/dev/zero"]);
    const context = await contexts.runtime.start(spec, {
      stdin: "null",
      output: (_, bytes) => void (sizeBytes += bytes.length),
    });
    expect((await context.exited).exitCode).toBe(0);
    expect(sizeBytes).toBe(100_000_000);
  });

  test("that is written through /dev/stderr and /dev/fd", async () => {
    const { stdout, stderr } = await contexts.run("echo a > /dev/stderr; echo b > /dev/fd/1; echo c > /proc/self/fd/2");
    expect([stdout, stderr]).toEqual(["b\n", "a\nc\n"]);
  });

  test("nothing comes in", async () => {
    expect((await contexts.run("cat; readlink /proc/self/fd/0")).stdout).toBe("/dev/null\n");
  });
});

describeIf(CONTEXTS, "start() refuses, naming the operation and the error", () => {
  test("a command that does not exist", async () => {
    const spec = contexts.spec(["no-such-command"], { env: { PATH: "/usr/bin:/bin" } });
    expect(await failure(contexts.runSpec(spec))).toBe(
      "context.failed Cannot start the context: exec /bin/no-such-command: ENOENT",
    );
  });

  test("a working directory that does not exist", async () => {
    expect(await failure(contexts.run("true", { cwd: "/no/where" }))).toBe(
      "context.failed Cannot start the context: chdir /no/where: ENOENT",
    );
  });

  test("a layer that does not exist", async () => {
    const root = {
      kind: "host",
      lowers: ["/no/layer"],
      upper: contexts.directory(),
      work: contexts.directory(),
    } as const;
    expect(await failure(contexts.run("true", { root }))).toBe(
      "context.failed Cannot start the context: mount overlay: ENOENT",
    );
  });

  test("a relative path", async () => {
    expect(await failure(contexts.run("true", { cwd: "workspace" }))).toContain("it is not an absolute path");
  });

  test("an environment with a NUL", async () => {
    expect(await failure(contexts.run("true", { env: { A: "x\0y" } }))).toContain("NUL");
  });

  test("when it is aborted while it starts", async () => {
    const controller = new AbortController();
    const starting = contexts.runtime.start(contexts.spec(["/bin/sleep", "1000"]), {
      stdin: "null",
      output: () => undefined,
      signal: controller.signal,
    });
    await Promise.resolve();
    controller.abort(new Error("changed my mind"));
    expect(await failure(starting)).toBe("changed my mind");
  });

  test("and leaves no process and no descriptor behind", async () => {
    await failure(contexts.run("true", { cwd: "/no/where" }));
    const before = readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 5; round++) await failure(contexts.run("true", { cwd: "/no/where" }));
    for (let round = 0; round < 5; round++) await contexts.run("true");
    // Bun reads through a duplicate, which it closes on another thread.
    for (let round = 0; round < 200 && readdirSync("/proc/self/fd").length > before; round++) await Bun.sleep(5);
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
  });
});

describeIf(CONTEXTS, "a context's root over the host", () => {
  test("hides the person and shows the system", async () => {
    const { stdout } = await contexts.run(
      "for d in /home /root /run /tmp /var/tmp /mnt /media /srv /workspace; do echo $d $(stat -c %a $d) $(ls -A $d | wc -l); done; ls /usr/bin/env",
    );
    expect(stdout.trim().split("\n")).toEqual([
      "/home 755 0",
      "/root 700 0",
      "/run 755 0",
      "/tmp 1777 0",
      "/var/tmp 1777 0",
      "/mnt 755 0",
      "/media 755 0",
      "/srv 755 0",
      "/workspace 755 0",
      "/usr/bin/env",
    ]);
  });

  test("has no secrets of the system", async () => {
    const { stdout } = await contexts.run(
      "cat /etc/shadow /etc/gshadow /etc/ssh/ssh_host_*_key 2>/dev/null | wc -c; ls -A /etc/ssl/private 2>/dev/null | wc -l",
    );
    expect(stdout).toBe("0\n0\n");
  });

  test("hides mesh's own state and what the spec names", async () => {
    const { stdout } = await contexts.run(
      `ls -A ${contexts.home} 2>/dev/null | wc -l; ls -A /usr/share/misc | wc -l; touch /usr/share/misc/x || echo closed`,
      {
        hidden: ["/usr/share/misc", "/no/such/directory"],
      },
    );
    expect(stdout).toBe("0\n0\nclosed\n");
  });

  test("keeps what the task writes in the upper directory, in the form of a layer", async () => {
    const { exit, upper, stderr } = await contexts.run(
      "echo w > /workspace/file; echo t > /tmp/file; echo r > /root/file; echo e > /etc/made-by-task; ln -s a /workspace/link; echo r > /run/gone; echo m > /mesh/gone; echo s > /dev/shm/gone",
    );
    expect([stderr, exit.exitCode]).toEqual(["", 0]);
    expect(listTree(upper)).toEqual([
      "etc/",
      "etc/made-by-task",
      "root/",
      "root/file",
      "tmp/",
      "tmp/file",
      "workspace/",
      "workspace/file",
      "workspace/link",
    ]);
    expect(readFileSync(join(upper, "workspace/file"), "utf8")).toBe("w\n");
  });

  test("leaves an empty upper directory when the task changes nothing", async () => {
    expect(listTree((await contexts.run("true")).upper)).toEqual([]);
  });

  test("serves one context after another in the same directories", async () => {
    const root = {
      kind: "host",
      lowers: [],
      upper: contexts.directory("upper"),
      work: contexts.directory("work"),
    } as const;
    const codes: (number | null)[] = [];
    for (let round = 0; round < 3; round++) {
      const { exit } = await contexts.run("test ! -e /workspace/seen && > /workspace/seen && rm /workspace/seen", {
        root,
      });
      codes.push(exit.exitCode);
    }
    expect(codes).toEqual([0, 0, 0]);
    expect(listTree(root.upper).filter((path) => path.includes("seen"))).toEqual([]);
  });

  testIf("root", "takes changes to the system's own files, as root", async () => {
    const { exit, upper } = await contexts.run(
      "rm -r /usr/share/misc && mkdir /usr/share/misc && echo x >> /etc/passwd && chown 7:8 /etc/passwd",
    );
    expect(exit.exitCode).toBe(0);
    expect(getXattr(join(upper, "usr/share/misc"), "user.overlay.opaque")).toEqual(new TextEncoder().encode("y"));
    expect([lstatSync(join(upper, "etc/passwd")).uid, lstatSync(join(upper, "etc/passwd")).gid]).toEqual([7, 8]);
  });
});

describeIf(CONTEXTS, "a context's layers", () => {
  test("stack top first, and whiteouts hide", async () => {
    const first = await contexts.run(
      "mkdir /workspace/d; echo 1 > /workspace/d/a; echo 1 > /workspace/d/b; echo 1 > /workspace/c",
    );
    const lowers = [first.upper];
    const second = await contexts.run("echo 2 > /workspace/d/a; rm /workspace/d/b", root(lowers));
    expect(lstatSync(join(second.upper, "workspace/d/b")).isCharacterDevice()).toBe(true);
    const third = await contexts.run(
      "cat /workspace/d/a /workspace/c; ls /workspace/d",
      root([second.upper, first.upper]),
    );
    expect(third.stdout).toBe("2\n1\na\n");
  });

  test("may be hundreds", async () => {
    const lowers = Array.from({ length: 300 }, (_, index) => {
      const lower = contexts.directory("a-layer-with-a-long-name");
      mkdirSync(join(lower, "workspace"));
      writeFileSync(join(lower, "workspace", `from-${index}`), "");
      return lower;
    });
    const { stdout } = await contexts.run("ls /workspace | wc -l", root(lowers));
    expect(stdout).toBe("300\n");
  });

  test("may lie at paths with colons, commas and backslashes", async () => {
    const lower = join(contexts.directory(), "odd:na,me\\x");
    mkdirSync(join(lower, "workspace"), { recursive: true });
    writeFileSync(join(lower, "workspace", "found"), "");
    expect((await contexts.run("ls /workspace", root([lower]))).stdout).toBe("found\n");
  });

  test("may be all there is", async () => {
    const lower = contexts.directory("image");
    mkdirSync(join(lower, "bin"));
    writeFileSync(join(lower, "bin/busybox"), readFileSync("/bin/sh"));
    const usr = { source: "/usr", target: "/usr", readonly: true };
    for (const name of ["lib", "lib64"]) if (existsSync(`/${name}`)) symlinkSync(`usr/${name}`, join(lower, name));
    const { stdout, stderr } = await contexts.runSpec(
      contexts.spec(["/usr/bin/ls", "/", "/etc", "/workspace"], {
        root: { kind: "layers", lowers: [lower], upper: contexts.directory(), work: contexts.directory() },
        binds: [usr],
      }),
    );
    expect(stderr).toBe("");
    expect(stdout).toStartWith("/:\nbin\ndev\netc\n");
    expect(stdout).toContain("\n/etc:\n");
  });

  function root(lowers: readonly string[]) {
    return {
      root: { kind: "host", lowers, upper: contexts.directory("upper"), work: contexts.directory("work") },
    } as const;
  }
});

describeIf(CONTEXTS, "a context's binds", () => {
  test("show files and directories, and hold read-only ones", async () => {
    const source = contexts.directory("source");
    writeFileSync(join(source, "file"), "content\n");
    const { stdout, upper } = await contexts.run(
      "cat /mesh/in/ab12/file /mesh/in/directory/file; touch /mesh/in/directory/x || echo refused; echo new > /mesh/io/values",
      {
        binds: [
          { source: join(source, "file"), target: "/mesh/in/ab12/file", readonly: true },
          { source, target: "/mesh/in/directory", readonly: true },
          { source, target: "/mesh/io", readonly: false },
        ],
      },
    );
    expect(stdout).toBe("content\ncontent\nrefused\n");
    expect(readFileSync(join(source, "values"), "utf8")).toBe("new\n");
    expect(listTree(upper)).toEqual([]);
  });

  test("stay inside when a layer has a symlink at the target", async () => {
    const layer = contexts.directory("layer");
    mkdirSync(join(layer, "workspace"));
    symlinkSync(contexts.home, join(layer, "workspace", "escape"));
    const source = contexts.directory("source");
    const root = { kind: "host", lowers: [layer], upper: contexts.directory(), work: contexts.directory() } as const;
    const act = contexts.run("true", {
      root,
      binds: [{ source, target: "/workspace/escape/context", readonly: false }],
    });
    await act.catch(() => undefined);
    expect(existsSync(join(contexts.home, "context", "stage"))).toBe(true);
    expect(readlinkSync(join(layer, "workspace", "escape"))).toBe(contexts.home);
  });

  test("refuse a source that does not exist", async () => {
    const act = contexts.run("true", { binds: [{ source: "/no/such/file", target: "/mesh/x", readonly: true }] });
    expect(await failure(act)).toBe("context.failed Cannot bind /no/such/file into the context");
  });
});

describeIf(CONTEXTS, "a context is closed", () => {
  test.each([
    ["mount", "mount -t tmpfs none /mnt"],
    ["a user namespace", "unshare -U true"],
    ["a mount namespace", "unshare -m true"],
    ["another process's namespaces", "nsenter -t 1 -m true"],
    ["a block device", "mknod /workspace/disk b 8 0 && head -c1 /workspace/disk"],
    ["sysctl", "echo x > /proc/sys/kernel/hostname"],
    ["sysctl of the whole machine", "echo 1 > /proc/sys/kernel/panic"],
    ["sysrq", "echo h > /proc/sysrq-trigger"],
    ["the host name", "hostname other"],
    ["kernel messages", "dmesg"],
    ["kernel memory", "head -c1 /proc/kcore | grep -q ."],
    ["keys", "grep -q . /proc/keys"],
    ["/sys", "echo 1 > /sys/kernel/mm/ksm/run"],
    ["pid 1's memory", "cat /proc/1/environ | grep -q ."],
    ["pid 1's root", "ls /proc/1/root/"],
    ["pid 1 itself", "kill -KILL 1; sleep 0.1; exit 1"],
    ["a longer nofile than the hard limit", "ulimit -n 99999999"],
  ])("to %s", async (_, script) => {
    const { exit } = await contexts.run(script);
    expect(exit.exitCode).not.toBe(0);
    expect(exit.signal).toBeNull();
  });

  test("and a chroot leads nowhere out", async () => {
    const escape = `
      mkdir -p /workspace/jail/bin; cd /workspace
      perl -e 'chroot("/workspace/jail"); for (1..50) { chdir("..") } chroot("."); opendir(D, "."); print join(" ", sort readdir D), "\\n"; open(F, "<", "${contexts.home}/index") or print "no way: $!\\n"'`;
    writeFileSync(join(contexts.home, "index"), "state");
    const { stdout } = await contexts.run(escape);
    expect(stdout).toContain("no way");
  });

  test("with capabilities, filter and no new privileges as documented", async () => {
    const { stdout } = await contexts.run(
      "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t' ' '",
    );
    expect(stdout.trim().split("\n")).toEqual([
      "CapInh: 0000000000000000",
      "CapPrm: 00000000a80405fb",
      "CapEff: 00000000a80405fb",
      "CapBnd: 00000000a80405fb",
      "CapAmb: 0000000000000000",
      "NoNewPrivs: 1",
      "Seccomp: 2",
    ]);
  });

  test("with its own process ids, host name, devices and descriptors", async () => {
    const { stdout } = await contexts.run(
      "echo $$; hostname; ls /dev | tr '\\n' ' '; echo; ls /proc/self/fd | wc -l; cat /proc/self/cgroup | cut -d: -f3 | sort -u",
    );
    expect(stdout).toBe("2\ncontext\nfd full null ptmx pts random shm stderr stdin stdout tty urandom zero \n4\n/\n");
  });

  test("with exactly the environment that was given", async () => {
    const spec = contexts.spec(["/usr/bin/env"], { env: { B: "2", A: "ü\nx" } });
    expect((await contexts.runSpec(spec)).stdout).toBe("B=2\nA=ü\nx\n");
  });

  test("and pretends ownership when only one id is mapped", async () => {
    const { stdout, exit } = await contexts.run(
      'touch f && chown 33:33 f && stat -c %u:%g f && perl -e \'$) = "5 5"; $( = 5; $> = 5; print "dropped\\n"\'',
      { idMap: "single" },
    );
    expect([stdout, exit.exitCode]).toEqual(["0:0\ndropped\n", 0]);
  });
});

describeIf(CONTEXTS, "nothing survives its task", () => {
  test("not a setsid child, nor what it holds open", async () => {
    const startedAt = performance.now();
    const { exit } = await contexts.run(
      "setsid sleep 1000 & (setsid sh -c 'trap \"\" TERM HUP; sleep 1000' &) ; exit 3",
    );
    expect(exit.exitCode).toBe(3);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test("and orphans are reaped while it runs", async () => {
    const { stdout } = await contexts.run(
      "for i in 1 2 3 4 5; do (sh -c 'exit 0' & ); done; sleep 0.3; cat /proc/[0-9]*/stat | grep -c ') Z '",
    );
    expect(stdout).toBe("0\n");
  });

  test("kill() ends everything at once", async () => {
    const { context } = await contexts.startUntilLine(
      "trap '' TERM INT; for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo go; wait",
    );
    context.kill();
    const exit = await context.exited;
    expect([exit.exitCode, exit.signal]).toEqual([null, "SIGKILL"]);
    expect(isAlive(context.pid)).toBe(false);
  });

  test("terminate() asks every process", async () => {
    const { context, stdout } = await contexts.startUntilLine(
      "trap 'echo asked; exit 9' TERM; sleep 1000 & echo go; wait",
    );
    context.terminate();
    expect((await context.exited).exitCode).toBe(9);
    expect(stdout.text()).toBe("go\nasked\n");
  });

  test("an aborted signal ends it, and refuses a start", async () => {
    const controller = new AbortController();
    const spec = contexts.spec(["/bin/sleep", "1000"]);
    const io = { stdin: "null", output: () => undefined, signal: controller.signal } as const;
    const context = await contexts.runtime.start(spec, io);
    controller.abort(new Error("enough"));
    expect((await context.exited).signal).toBe("SIGKILL");
    expect(await failure(contexts.runtime.start(spec, io))).toBe("enough");
  });
});

describeIf([...CONTEXTS, "subordinate-ids"], "subordinate ids", () => {
  const script =
    "mkdir d && echo secret > d/file && chown -R 33:34 d && chmod 700 d && chmod 600 d/file && stat -c %u:%g d/file && su -s /bin/sh nobody -c 'id -u'";

  test("exist inside, and lie in the layer", async () => {
    const { stdout, upper } = await contexts.run(script, { idMap: "range" });
    expect(stdout).toBe("33:34\n65534\n");
    expect(lstatSync(join(upper, "workspace/d")).uid).toBeGreaterThan(33);
  });

  test("runInUserNamespace() reads and removes what they own", async () => {
    const { upper } = await contexts.run(script, { idMap: "range" });
    const env = { PATH: "/usr/bin:/bin" };
    const path = join(upper, "workspace/d");
    const read = await contexts.runtime.runInUserNamespace({ argv: ["/bin/cat", join(path, "file")], env });
    expect(read).toEqual({ exitCode: 0, stdout: "secret\n", stderr: "" });
    const removed = await contexts.runtime.runInUserNamespace({ argv: ["/bin/rm", "-r", path], env });
    expect([removed.exitCode, existsSync(path)]).toEqual([0, false]);
  });
});

describeIf(CONTEXTS, "a context's network", () => {
  test("none has a loopback of its own and nothing else", async () => {
    const { stdout } = await contexts.run(
      "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '; ls /sys/class/net",
    );
    expect(stdout).toBe("lo\nlo\n");
  });

  test("host is the machine's, with its resolver", async () => {
    const { stdout } = await contexts.run("cat /etc/resolv.conf; readlink /proc/self/ns/net", { network: "host" });
    expect(stdout).toBe(`${readFileSync("/etc/resolv.conf", "utf8")}${readlinkSync("/proc/self/ns/net")}\n`);
  });

  testIf(["nat-helper", "tun"], "nat has a way out and a resolver", async () => {
    const { stdout } = await contexts.run("cat /proc/net/route | tail -n +2 | cut -f2 | sort; cat /etc/resolv.conf", {
      network: "nat",
    });
    expect(stdout).toContain("00000000\n");
    expect(stdout).toEndWith("nameserver 10.0.2.3\n");
  });
});

testIf(CONTEXTS, "tmpfsTmp keeps /tmp out of the layer", async () => {
  const { exit, upper } = await contexts.run("echo x > /tmp/a && echo y > /var/tmp/b", { tmpfsTmp: true });
  expect(exit.exitCode).toBe(0);
  expect(listTree(upper)).toEqual([]);
});

/** Code and message of what a promise is rejected with. */
async function failure(act: Promise<unknown>): Promise<string> {
  const error = await act.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof MeshError) return `${error.code} ${error.message}`;
  return error instanceof Error ? error.message : "it did not fail";
}

/** Paths below a directory, sorted; directories end in a slash. */
function listTree(root: string): readonly string[] {
  const found: string[] = [];
  const walk = (directory: string, prefix: string) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = `${prefix}${entry.name}`;
      found.push(entry.isDirectory() ? `${path}/` : path);
      if (entry.isDirectory()) walk(join(directory, entry.name), `${path}/`);
    }
  };
  walk(root, "");
  return found.sort();
}
