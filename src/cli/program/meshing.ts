// The commands about the mesh: joining, looking at its machines, keeping a node going. What they take and how they explain
// themselves.

import type { CommandSpec, FlagSpec, PositionalSpec } from "../grammar/command.ts";

const LENDING: Readonly<Record<string, FlagSpec>> = {
  cpus: { kind: "text", value: "N", brief: "lend at most so many CPUs: 4, 0.5" },
  memory: { kind: "text", value: "SIZE", brief: "lend at most so much memory: 16gb" },
  gpus: { kind: "text", value: "SPEC", brief: "none, how many, or devices to simulate: 2xh100:80gb,a100:40gb" },
  labels: { kind: "text", value: "A,B", brief: "labels that tasks may ask for with agent.labels" },
};

const NODE: PositionalSpec = { name: "NODE", brief: "a machine's name, or the start of its id", completes: "node" };

const INIT: CommandSpec = {
  name: "init",
  summary: "Make a mesh, with this machine as its first member",
  detail: [
    "Makes this machine's identity (a key that never leaves it) and a mesh that it administers. Nothing is started: `mesh up` or `mesh join` starts the node.",
  ],
  positionals: [],
  flags: { name: { kind: "text", value: "NAME", brief: "what this machine is called (its host name when not given)" } },
  examples: [{ command: "mesh init --name desk", meaning: "then `mesh up`, and `mesh invite` for the next machine" }],
  load: () => import("../commands/init.ts"),
};

const INVITE: CommandSpec = {
  name: "invite",
  summary: "Print a one-time code with which another machine joins",
  detail: [
    "The code is good for one machine, once, and for a short time; a wrong guess burns it. It never crosses the network: both machines prove to each other that they know it.",
    "Waits until it is used, unless the node runs in the background: then Ctrl-C leaves the code in force.",
  ],
  positionals: [],
  flags: {
    for: { kind: "text", value: "TIME", brief: "how long the code is good (10m when not given)" },
    "member-for": {
      kind: "text",
      value: "TIME",
      brief: "how long the machine is a member (until it is revoked, when not given)",
    },
    admin: { kind: "switch", brief: "the machine may invite and revoke others as well" },
    "submit-only": { kind: "switch", brief: "the machine submits work and runs none of others" },
    "no-wait": { kind: "switch", brief: "print the code and return; needs a node that runs" },
  },
  examples: [
    { command: "mesh invite", meaning: "then, on the other machine: mesh join CODE" },
    { command: "mesh invite --admin --for 1h", meaning: "a second machine that may invite others" },
    { command: "mesh invite --submit-only --member-for 7d", meaning: "a guest, for a week" },
  ],
  load: () => import("../commands/invite.ts"),
};

const JOIN: CommandSpec = {
  name: "join",
  summary: "Join a mesh, and run this machine's node in the foreground",
  detail: [
    "With a CODE (from `mesh invite`) it finds the mesh on the local network; with HOST:PORT as well it goes there, where multicast does not reach. Without a CODE it lists the meshes it finds and asks for one; where there is none it makes one.",
    "A machine that is a member already just runs its node, with a view of the mesh. Ctrl-C lets its tasks end and stops it; `mesh up` runs it in the background instead.",
    "What is said about lending is kept for the next start.",
  ],
  positionals: [
    { name: "HOST:PORT", brief: "address of a machine of the mesh", optional: true },
    { name: "CODE", brief: "one-time code; - reads it from standard input", optional: true },
  ],
  flags: {
    name: { kind: "text", value: "NAME", brief: "what this machine is called (its host name when not given)" },
    ...LENDING,
    port: { kind: "integer", value: "PORT", brief: "listen there (7433, or a free one when that is taken)" },
    detach: { kind: "switch", brief: "join, then run the node in the background" },
    plain: { kind: "switch", brief: "print lines also on a terminal, no live view" },
  },
  examples: [
    { command: "mesh join", meaning: "on the first machine: makes a mesh and prints a code for the second" },
    { command: "mesh join k7q-m2x-dn4", meaning: "on the second" },
    { command: "mesh join 192.168.1.20:7433 k7q-m2x-dn4", meaning: "where multicast is dead" },
    { command: "mesh join --cpus 4 --memory 8gb --labels ssd", meaning: "lend only a part of this machine" },
  ],
  load: () => import("../commands/join.ts"),
};

const LEAVE: CommandSpec = {
  name: "leave",
  summary: "Leave the mesh",
  detail: [
    "Tells the others and forgets the mesh; results and files stay. A machine that has left needs a new code to come back.",
  ],
  positionals: [],
  flags: {
    "new-identity": {
      kind: "switch",
      brief: "forget this machine's key as well: for a copy of another machine's disk",
    },
  },
  examples: [{ command: "mesh leave", meaning: "this machine is on its own again" }],
  load: () => import("../commands/leave.ts"),
};

const REVOKE: CommandSpec = {
  name: "revoke",
  summary: "Take a machine's membership back",
  detail: [
    "In force on every machine that can be reached within two seconds, on the others as soon as they meet one that knows. Only an admin can revoke.",
  ],
  positionals: [NODE],
  flags: {},
  examples: [{ command: "mesh revoke laptop", meaning: "a machine that was lost or stolen" }],
  load: () => import("../commands/revoke.ts"),
};

const NODES: CommandSpec = {
  name: "nodes",
  summary: "List the machines of the mesh",
  detail: [
    "Shows each with its address, roles, system, CPUs, memory and GPUs (free of all), load, running tasks, latency and version; how it was found; and, for one that is missing, why.",
  ],
  positionals: [],
  flags: { wide: { kind: "switch", short: "w", brief: "all columns" } },
  examples: [
    { command: "mesh nodes", meaning: "who is there" },
    { command: "mesh nodes --json | jq -r '.nodes[] | select(.state==\"down\") | .name'", meaning: "who is missing" },
  ],
  load: () => import("../commands/nodes.ts"),
};

const PING: CommandSpec = {
  name: "ping",
  summary: "Measure the round trip to another machine",
  detail: ["Over the connection that the mesh uses, so that it tells what placing a task costs."],
  positionals: [NODE],
  flags: {
    count: { kind: "integer", short: "c", value: "N", brief: "how many times (5 when not given, at most 100)" },
  },
  examples: [{ command: "mesh ping desk", meaning: "five round trips" }],
  load: () => import("../commands/ping.ts"),
};

const STATS: CommandSpec = {
  name: "stats",
  summary: "Sum up the mesh: machines, capacity, what is in use",
  detail: ["All machines that are up, added together."],
  positionals: [],
  flags: {},
  examples: [{ command: "mesh stats --json", meaning: "for monitoring" }],
  load: () => import("../commands/stats.ts"),
};

const TOP: CommandSpec = {
  name: "top",
  summary: "Watch the machines and what runs on them, live",
  detail: ["Refreshes each second until Ctrl-C. Elsewhere than on a terminal, and with --json, a line each second."],
  positionals: [],
  flags: { count: { kind: "integer", short: "n", value: "N", brief: "refresh so many times and end" } },
  examples: [{ command: "mesh top", meaning: "until Ctrl-C" }],
  load: () => import("../commands/top.ts"),
};

const DRAIN: CommandSpec = {
  name: "drain",
  summary: "Let a machine's tasks end and give it no more",
  detail: [
    "This machine when NODE is not given. It stays in the mesh, serves files and may submit work; also after it starts again.",
  ],
  positionals: [{ ...NODE, optional: true }],
  flags: { off: { kind: "switch", brief: "give it tasks again" } },
  examples: [
    { command: "mesh drain", meaning: "before this machine is needed otherwise" },
    { command: "mesh drain desk --off", meaning: "machine desk takes tasks again" },
  ],
  load: () => import("../commands/drain.ts"),
};

const UP: CommandSpec = {
  name: "up",
  summary: "Start this machine's node in the background",
  detail: [
    "Returns when it answers. What it says goes to mesh/node.log in MESH_HOME. `mesh service install` starts it with your login instead.",
  ],
  positionals: [],
  flags: {
    ...LENDING,
    port: { kind: "integer", value: "PORT", brief: "listen there (7433, or a free one when that is taken)" },
    foreground: { kind: "switch", brief: "stay in the foreground and print what happens: for a service manager" },
  },
  examples: [{ command: "mesh up", meaning: "until `mesh down`, or the machine stops" }],
  load: () => import("../commands/up.ts"),
};

const DOWN: CommandSpec = {
  name: "down",
  summary: "Stop this machine's node",
  detail: ["Runs that it coordinates are stopped within their grace period; its tasks for others go elsewhere."],
  positionals: [],
  flags: {},
  examples: [{ command: "mesh down", meaning: "`mesh up` starts it again" }],
  load: () => import("../commands/down.ts"),
};

const SERVICE_INSTALL: CommandSpec = {
  name: "service install",
  summary: "Start the node with your login, as a systemd user unit",
  detail: [
    "Writes ~/.config/systemd/user/mesh.service, enables it and starts it. No root is needed. `loginctl enable-linger` keeps it going when you are not logged in.",
  ],
  positionals: [],
  flags: {},
  examples: [{ command: "mesh service install", meaning: "for your user alone" }],
  load: () => import("../commands/service-install.ts"),
};

const SERVICE_UNINSTALL: CommandSpec = {
  name: "service uninstall",
  summary: "Stop the unit and remove it",
  detail: ["The membership stays."],
  positionals: [],
  flags: {},
  examples: [{ command: "mesh service uninstall", meaning: "`mesh up` still starts the node" }],
  load: () => import("../commands/service-uninstall.ts"),
};

const SERVICE_STATUS: CommandSpec = {
  name: "service status",
  summary: "Say whether the node runs, how it was started, and where its log is",
  detail: ["Exits with 2 when it does not run."],
  positionals: [],
  flags: {},
  defaultOfGroup: true,
  examples: [{ command: "mesh service status --json", meaning: "for scripts" }],
  load: () => import("../commands/service-status.ts"),
};

const BLOB_PUT: CommandSpec = {
  name: "blob put",
  summary: "Keep a file by its hash, for any machine of the mesh to get",
  detail: [
    "Prints the digest. It is kept like a result: what was not used for longest goes first when the cache is over its limit.",
  ],
  positionals: [{ name: "FILE", brief: "- reads standard input", completes: "file" }],
  flags: {},
  examples: [{ command: "mesh blob put model.bin", meaning: "prints sha256:..." }],
  load: () => import("../commands/blob-put.ts"),
};

const BLOB_GET: CommandSpec = {
  name: "blob get",
  summary: "Get a file by its hash, from whichever machines have it",
  detail: ["Large ones come in verified pieces from several machines at once; what was interrupted goes on."],
  positionals: [{ name: "DIGEST", brief: "sha256:..." }],
  flags: { output: { kind: "text", short: "o", value: "FILE", brief: "write there (standard output when not given)" } },
  examples: [{ command: "mesh blob get sha256:4f5e... -o model.bin", meaning: "into a file" }],
  load: () => import("../commands/blob-get.ts"),
};

const BLOB_LS: CommandSpec = {
  name: "blob ls",
  summary: "List the blobs of this machine, or who has one",
  detail: ["With DIGEST: the machines that have it."],
  positionals: [{ name: "DIGEST", brief: "sha256:...", optional: true }],
  flags: { limit: { kind: "integer", short: "n", value: "N", brief: "show at most N (50 when not given)" } },
  defaultOfGroup: true,
  examples: [{ command: "mesh blob ls sha256:4f5e...", meaning: "who has it" }],
  load: () => import("../commands/blob-ls.ts"),
};

export const MESHING: readonly CommandSpec[] = [
  JOIN,
  INVITE,
  NODES,
  TOP,
  STATS,
  PING,
  DRAIN,
  INIT,
  LEAVE,
  REVOKE,
  UP,
  DOWN,
  SERVICE_STATUS,
  SERVICE_INSTALL,
  SERVICE_UNINSTALL,
  BLOB_PUT,
  BLOB_GET,
  BLOB_LS,
];
