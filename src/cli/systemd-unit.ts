// The node as a systemd user unit (systemd.unit(5), systemd.service(5)): its text, its place, and systemctl.

import { join } from "node:path";
import { MeshError } from "../base/errors.ts";
import type { CommandContext } from "./context.ts";

export const UNIT = "mesh.service";

/** The unit's text. `program`: the words that start it, the first an absolute path; `home` is absolute. */
export function unitText(program: readonly string[], home: string): string {
  return `# Written by \`mesh service install\`; \`mesh service uninstall\` removes it.
[Unit]
Description=mesh: this machine's node
Documentation=man:systemd.service(5)
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=exec
ExecStart=${program.map((word) => quoted(word).replaceAll("$", "$$$$")).join(" ")} up --foreground
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

/** A word of a unit file: quotes and percent signs mean something there. In a command line dollar signs do as well. */
function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%")}"`;
}

/** Where the unit of this user lies (systemd.unit(5)). */
export function unitPath(context: CommandContext): string {
  const config = context.env["XDG_CONFIG_HOME"] ?? join(context.env["HOME"] ?? "/", ".config");
  return join(config, "systemd/user", UNIT);
}

/** Runs `systemctl --user`. Throws `io.failed` with what it said. */
export function systemctl(context: CommandContext, ...words: readonly string[]): void {
  const program = findProgram(context, "systemctl");
  if (program === null)
    throw new MeshError("io.failed", "Cannot find systemctl: this machine is not run by systemd", {
      hint: "`mesh up` starts the node without it.",
    });
  const done = Bun.spawnSync([program, "--user", ...words], {
    env: context.env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  if (done.exitCode === 0) return;
  throw new MeshError("io.failed", `Cannot run systemctl --user ${words.join(" ")}: ${done.stderr.toString().trim()}`, {
    hint: "It needs a login session of your user with systemd: `mesh up` starts the node without it.",
  });
}

/** Whether the unit runs. */
export function isActive(context: CommandContext): boolean {
  const program = findProgram(context, "systemctl");
  if (program === null) return false;
  const options = { env: context.env, stderr: "ignore" } as const;
  return Bun.spawnSync([program, "--user", "is-active", UNIT], options).exitCode === 0;
}

/** Whether units of this user go on when nobody is logged in. */
export function lingers(context: CommandContext): boolean {
  const program = findProgram(context, "loginctl");
  if (program === null) return false;
  const options = { env: context.env, stderr: "ignore" } as const;
  const shown = Bun.spawnSync([program, "show-user", "--property=Linger"], options);
  return shown.stdout.toString().includes("Linger=yes");
}

function findProgram(context: CommandContext, name: string): string | null {
  return Bun.which(name, { PATH: context.env["PATH"] ?? "" });
}
