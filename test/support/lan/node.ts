// `bun node.ts prepare FOLDER` prints the id of the machine whose home this is; `init` makes a mesh there; `join FOLDER CODE` joins the
// one that is found; `run` is a member until its input ends, and prints what it sees as JSON lines. For tests on a LAN of namespaces:
// all run on the host they speak of.

import { initMesh, joinMesh } from "../../../src/mesh/io/join-mesh.ts";
import { openMesh } from "../../../src/mesh/io/mesh.ts";
import { identityIn } from "../mesh-homes.ts";

const [, , command, folder = "", ...flags] = Bun.argv;

function say(line: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ ...line, atMs: performance.timeOrigin + performance.now() })}\n`);
}

if (command === "prepare") {
  say({ id: identityIn(folder).id });
} else if (command === "init") {
  say({ ...initMesh(folder, "founder") });
} else if (command === "join") {
  const [code = ""] = flags;
  const signal = AbortSignal.timeout(20_000);
  say({ ...(await joinMesh({ folder, code, name: "newcomer", roles: null, address: null, signal })) });
} else {
  const startMs = performance.timeOrigin + performance.now();
  const mesh = await openMesh({
    folder,
    version: "1.0.0",
    port: "any",
    multicast: !flags.includes("--no-multicast"),
    onNotice: ({ error }) => say({ notice: error.code, message: error.message }),
  });
  mesh.watch(({ kind, peer }) => {
    if (kind !== "snapshot") say({ change: kind, peer: peer.name, reason: peer.reason, foundBy: peer.foundBy });
  });
  for (const { name, state } of mesh.list()) if (state === "up") say({ change: "up", peer: name });
  say({ opened: mesh.port, startMs, faults: mesh.discoveryFaults });
  for await (const line of console) {
    const [verb, text = ""] = line.split(" ");
    const peer = mesh.list().find(({ name }) => name === text);
    try {
      if (verb === "revoke" && peer !== undefined) mesh.revoke(peer.id);
      if (verb === "invite") say({ code: mesh.invite({ roles: ["worker"], memberUntilMs: null }).text });
      if (verb === "reach") await mesh.reach({ host: text, port: 7433 });
      if (verb === "list")
        say({ list: mesh.list().map(({ name, state, reason, addresses }) => ({ name, state, reason, addresses })) });
    } catch (error) {
      say({ failed: verb, message: error instanceof Error ? error.message : String(error) });
    }
  }
  await mesh[Symbol.asyncDispose]();
}
