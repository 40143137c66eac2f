// The node as a systemd user unit (systemd.unit(5), systemd.service(5)): its text, its place, and systemctl.

import { join } from "node:path";
import { MeshError } from "../base/errors.ts";
import type { CommandContext } from "./context.ts";

export const UNIT = "mesh.service";

/** The unit's text. `program` and `home` are absolute paths. */
export function unitText(program: string, home: string): string {
  return `# Written by \`mesh service install\`; \`mesh service uninstall\` removes it.
[Unit]
Description=mesh: this machine's node
Documentation=man:systemd.service(5)
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=exec
ExecStart=${quoted(program)} up --foreground
Environment=${quoted(`MESH_HOME=${home}`)}
Restart=on-failure
RestartSec=2
# Tasks have their grace period to end; what is left is killed.
KillMode=mixed
TimeoutStopSec=30
# Limits of tasks are set by the node itself in the part of the tree that is its own.
Delegate=yes

[Install]
WantedBy=default.target
`;
}

/** A word of a unit file: quotes and percent signs mean something there. */
function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%").replaceAll("$", "$$$$")}"`;
}

/** Where the unit of this user lies (systemd.unit(5)). */
export function unitPath(context: CommandContext): string {
  const config = context.env["XDG_CONFIG_HOME"] ?? join(context.env["HOME"] ?? "/", ".config");
  return join(config, "systemd/user", UNIT);
}

/** Runs `systemctl --user`. Throws `io.failed` with what it said. */
export function systemctl(...words: readonly string[]): void {
  const program = Bun.which("systemctl");
  if (program === null)
    throw new MeshError("io.failed", "Cannot find systemctl: this machine is not run by systemd", {
      hint: "`mesh up` starts the node without it.",
    });
  const done = Bun.spawnSync([program, "--user", ...words], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  if (done.exitCode === 0) return;
  throw new MeshError("io.failed", `Cannot run systemctl --user ${words.join(" ")}: ${done.stderr.toString().trim()}`, {
    hint: "It needs a login session of your user with systemd: `mesh up` starts the node without it.",
  });
}

/** Whether the unit runs. */
export function isActive(): boolean {
  const program = Bun.which("systemctl");
  return program !== null && Bun.spawnSync([program, "--user", "is-active", UNIT], { stderr: "ignore" }).exitCode === 0;
}

/** Whether units of this user go on when nobody is logged in. */
export function lingers(): boolean {
  const program = Bun.which("loginctl");
  if (program === null) return false;
  const shown = Bun.spawnSync([program, "show-user", "--property=Linger"], { stderr: "ignore" });
  return shown.stdout.toString().includes("Linger=yes");
}
