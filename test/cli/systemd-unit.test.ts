import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync, chmodSync } from "node:fs";
import { unitText } from "../../src/cli/systemd-unit.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary.ts";
import { fakeContext, runCommand } from "./fake/context.ts";
import { FakeMesh } from "./fake/mesh.ts";

/** A systemctl that notes what it was asked, and fails at the words in `fails`. */
function systemd(folder: TemporaryFolder, fails = "none") {
  const log = folder.join("asked");
  for (const name of ["systemctl", "loginctl"]) {
    const path = folder.join(name);
    const script = `#!/bin/sh\necho "$*" >> '${log}'\ncase "$*" in *${fails}*) echo "no bus" >&2; exit 1;; *Linger*) echo Linger=no;; esac\n`;
    writeFileSync(path, script);
    chmodSync(path, 0o755);
  }
  return {
    env: { PATH: folder.path, HOME: folder.path, MESH_HOME: folder.join("a home") },
    unit: folder.join(".config/systemd/user/mesh.service"),
    asked: () => readFileSync(log, "utf8").trimEnd().split("\n"),
  };
}

describe("mesh service", () => {
  test("install writes the unit and starts it; uninstall removes it", async () => {
    using folder = temporaryFolder();
    const { env, unit, asked } = systemd(folder);
    const said = await runCommand(fakeContext({ env, mesh: new FakeMesh() }), "service", "install");
    expect(said).toMatchObject({ code: 0, error: null });
    expect(said.out).toContain(unit);
    expect(said.out).toContain("loginctl enable-linger");
    expect(readFileSync(unit, "utf8")).toContain(`Environment="MESH_HOME=${folder.join("a home")}"`);
    expect((await runCommand(fakeContext({ env, mesh: new FakeMesh() }), "service", "uninstall")).code).toBe(0);
    expect(existsSync(unit)).toBe(false);
    expect(asked()).toEqual([
      "--user daemon-reload",
      "--user enable --now mesh.service",
      "show-user --property=Linger",
      "--user disable --now mesh.service",
      "--user daemon-reload",
    ]);
  });

  test("install says what systemd said, and leaves no unit that does not work", async () => {
    using folder = temporaryFolder();
    const { env, unit } = systemd(folder, "enable");
    const { error } = await runCommand(fakeContext({ env, mesh: new FakeMesh() }), "service", "install");
    expect(error).toMatchObject({
      code: "io.failed",
      message: "Cannot run systemctl --user enable --now mesh.service: no bus",
    });
    expect(existsSync(unit)).toBe(false);
  });

  test("install needs systemd, a mesh, and no node that was started by hand", async () => {
    using folder = temporaryFolder();
    const install = async (mesh: FakeMesh, env: Record<string, string>) =>
      (await runCommand(fakeContext({ env, mesh }), "service", "install")).error?.code;
    const bare = { PATH: folder.path, HOME: folder.path };
    expect(await install(new FakeMesh(), bare)).toBe("io.failed");
    expect(await install(new FakeMesh({ membership: null }), bare)).toBe("mesh.not-a-member");
    expect(await install(new FakeMesh({ running: true }), bare)).toBe("node.already-running");
  });

  test("uninstall says that there is none", async () => {
    using folder = temporaryFolder();
    const { env } = systemd(folder);
    const { error } = await runCommand(fakeContext({ env, mesh: new FakeMesh() }), "service", "uninstall");
    expect(error?.message).toContain("there is no ");
  });

  test("status names the node, how it was started and its log; 2 when none runs", async () => {
    using folder = temporaryFolder();
    const { env } = systemd(folder, "is-active");
    const status = async (running: boolean, ...words: string[]) =>
      await runCommand(fakeContext({ env, mesh: new FakeMesh({ running }) }), "service", "status", ...words);
    expect((await status(true)).out).toBe(
      "desk runs as process 42, at 10.0.0.1:7433.\nStarted by hand; its log: /home/mesh/node.log\n",
    );
    expect(await status(false)).toMatchObject({ code: 2, error: null });
    expect(JSON.parse((await status(true, "--json")).out)).toMatchObject({ running: { pid: 42 }, service: false });
  });
});

test("unitText() quotes what means something to systemd", () => {
  const lines = unitText(["/opt/a b/mesh%$", 'x"y'], "/home/%u $x").split("\n");
  expect(lines.filter((line) => /^(ExecStart|Environment)=/.test(line))).toEqual([
    'ExecStart="/opt/a b/mesh%%$$" "x\\"y" up --foreground',
    'Environment="MESH_HOME=/home/%%u $x"',
  ]);
});
