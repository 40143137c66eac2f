// Machines of a mesh on a LAN of namespaces: found by multicast, killed, frozen, cut off, revoked. Needs the ability "lan".

import { expect } from "bun:test";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { type LanHost, makeLan } from "../../support/lan/lan.ts";
import { LanNode, MeshOnLan } from "../../support/lan/mesh-on-lan.ts";
import type { NamespaceProcess } from "../../support/lan/namespace.ts";
import { describeIf, testIf } from "../../support/require.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const TIMEOUT_MS = 40_000;

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** An avahi-daemon on a host, with its own files, that answers without D-Bus. */
async function startAvahi(host: LanHost, folder: string): Promise<NamespaceProcess> {
  mkdirSync(folder, { recursive: true });
  const config = `${folder}/avahi.conf`;
  writeFileSync(config, "[server]\nenable-dbus=no\nuse-ipv4=yes\nuse-ipv6=yes\n[publish]\n");
  // It wants its folder to belong to the user `avahi`, whom a user namespace of one id cannot hold: there `avahi` is another name for root.
  writeFileSync(`${folder}/passwd`, "root:x:0:0::/:/bin/sh\navahi:x:0:0::/:/bin/sh\n");
  writeFileSync(`${folder}/group`, "root:x:0:\navahi:x:0:\n");
  // Its socket and PID file have fixed places: each host gets its own.
  const script = [
    "mount -t tmpfs none /run && mkdir -p /run/avahi-daemon",
    `mount --bind ${folder}/passwd /etc/passwd && mount --bind ${folder}/group /etc/group`,
    `exec avahi-daemon --no-chroot --no-drop-root --no-rlimits -f ${config}`,
  ].join(" && ");
  const daemon = await host.spawn(["unshare", "--mount", "sh", "-c", script]);
  const reader = daemon.stderr.getReader();
  const decoder = new TextDecoder();
  for (let said = ""; !said.includes("Server startup complete");) {
    const { value } = await reader.read();
    if (value === undefined) throw new Error(`avahi-daemon did not start: ${said}`);
    said += decoder.decode(value);
  }
  return daemon;
}

describeIf("lan", "a mesh on a LAN", () => {
  testIf(
    "linux",
    "finds its machines by multicast",
    async () => {
      await using lan = await makeLan({ hosts: 3 });
      await using mesh = await MeshOnLan.on(lan.hosts);
      await mesh.node(0).start();
      await mesh.node(1).start();
      const up = await mesh.node(1).heard("up", "a");
      const { startMs = 0 } = await mesh.node(1).find(({ opened }) => opened !== undefined);
      process.stdout.write(`link up after ${(up.atMs - startMs).toFixed(0)} ms\n`);
      expect(up.atMs - startMs).toBeLessThan(2_000);
      await mesh.node(2).start();
      await mesh.allUp();
    },
    TIMEOUT_MS,
  );

  testIf(
    "linux",
    "notices a killed node in less than a second and a silent machine in less than four",
    async () => {
      await using lan = await makeLan({ hosts: 3 });
      await using mesh = await MeshOnLan.on(lan.hosts);
      await mesh.startAll();
      await mesh.allUp();
      const killedAtMs = nowMs();
      mesh.node(1).kill();
      const down = await mesh.node(0).heard("down", "b", killedAtMs);
      process.stdout.write(`kill noticed after ${(down.atMs - killedAtMs).toFixed(0)} ms\n`);
      expect(down.atMs - killedAtMs).toBeLessThan(1_000);
      const offAtMs = nowMs();
      await lan.host(2).powerOff();
      const silent = await mesh.node(0).heard("down", "c", offAtMs);
      process.stdout.write(`silence noticed after ${(silent.atMs - offAtMs).toFixed(0)} ms: ${silent.reason}\n`);
      expect(silent.atMs - offAtMs).toBeLessThan(4_000);
      expect(silent.reason).toMatch(/silent/);
    },
    TIMEOUT_MS,
  );

  testIf(
    "linux",
    "sees a frozen node again when it goes on, and the node itself suspects nobody",
    async () => {
      await using lan = await makeLan({ hosts: 2 });
      await using mesh = await MeshOnLan.on(lan.hosts);
      await mesh.startAll();
      await mesh.allUp();
      const [a, b] = [mesh.node(0), mesh.node(1)];
      const frozenAtMs = nowMs();
      b.freeze();
      await a.heard("down", "b", frozenAtMs);
      const thawedAtMs = nowMs();
      b.thaw();
      await a.heard("up", "b", thawedAtMs);
      await b.heard("up", "a", thawedAtMs);
      expect(b.said.filter(({ change, reason }) => change === "down" || /silent/.test(reason ?? ""))).toEqual([]);
    },
    TIMEOUT_MS,
  );

  testIf(
    "linux",
    "heals after a partition and after a change of address",
    async () => {
      await using lan = await makeLan({ hosts: 2 });
      await using mesh = await MeshOnLan.on(lan.hosts);
      await mesh.startAll();
      await mesh.allUp();
      const [a, b] = [mesh.node(0), mesh.node(1)];
      const cutAtMs = nowMs();
      await lan.partition([[a.host], [b.host]]);
      await Promise.all([a.heard("down", "b", cutAtMs), b.heard("down", "a", cutAtMs)]);
      await b.host.moveTo("10.77.0.99");
      await b.host.shell("ip -6 addr flush dev eth0 scope global");
      const healedAtMs = nowMs();
      await lan.heal();
      const [one, two] = await Promise.all([a.heard("up", "b", healedAtMs), b.heard("up", "a", healedAtMs)]);
      process.stdout.write(`healed after ${(Math.max(one.atMs, two.atMs) - healedAtMs).toFixed(0)} ms\n`);
    },
    TIMEOUT_MS,
  );

  testIf(
    "linux",
    "puts a revocation in force everywhere in less than two seconds",
    async () => {
      await using lan = await makeLan({ hosts: 3 });
      await using mesh = await MeshOnLan.on(lan.hosts);
      await mesh.startAll();
      await mesh.allUp();
      const [a, b, c] = [mesh.node(0), mesh.node(1), mesh.node(2)];
      const revokedAtMs = nowMs();
      await a.say("revoke c");
      const down = await b.heard("down", "c", revokedAtMs);
      await c.find(({ notice }) => notice === "mesh.revoked");
      process.stdout.write(`revocation in force after ${(down.atMs - revokedAtMs).toFixed(0)} ms\n`);
      expect(down.atMs - revokedAtMs).toBeLessThan(2_000);
    },
    TIMEOUT_MS,
  );

  testIf(
    "nft",
    "works without multicast once an address is given",
    async () => {
      await using lan = await makeLan({ hosts: 2, multicast: false });
      await using mesh = await MeshOnLan.on(lan.hosts);
      await mesh.startAll();
      const [a, b] = [mesh.node(0), mesh.node(1)];
      await a.say(`reach ${b.host.ipv4}`);
      await Promise.all([a.heard("up", "b"), b.heard("up", "a")]);
    },
    TIMEOUT_MS,
  );

  testIf(
    "linux",
    "takes in a newcomer that finds it by multicast, with the right code among two meshes",
    async () => {
      await using lan = await makeLan({ hosts: 3 });
      using folder = temporaryFolder();
      const node = (at: number, name: string) => new LanNode(lan.host(at), name, folder.join(name));
      const [one, two, newcomer] = [node(0, "one"), node(1, "two"), node(2, "newcomer")];
      for (const founder of [one, two]) {
        await founder.once(["init"]);
        await founder.start();
        await founder.say("invite");
      }
      const { code = "" } = await two.find((said) => said.code !== undefined);
      const startMs = nowMs();
      await newcomer.once(["join", code]);
      const joinedMs = nowMs();
      await newcomer.start();
      const up = await two.heard("up", "newcomer");
      process.stdout.write(
        `joined after ${(joinedMs - startMs).toFixed(0)} ms, up after ${(up.atMs - startMs).toFixed(0)} ms\n`,
      );
      for (const each of [one, two, newcomer]) each.kill();
    },
    TIMEOUT_MS,
  );

  testIf(
    "linux",
    "sees two machines with one identity, and both are told",
    async () => {
      await using lan = await makeLan({ hosts: 3 });
      await using mesh = await MeshOnLan.on(lan.hosts.slice(0, 2));
      await mesh.startAll();
      await mesh.allUp();
      const copy = new LanNode(lan.host(2), "copy", `${mesh.node(1).folder}-copy`);
      cpSync(mesh.node(1).folder, copy.folder, { recursive: true });
      await copy.start();
      const isTold = ({ notice }: { readonly notice?: string }) => notice === "mesh.identity-copied";
      await Promise.all([mesh.node(1).find(isTold), copy.find(isTold)]);
      copy.kill();
    },
    TIMEOUT_MS,
  );

  testIf(
    "avahi",
    "finds its machines beside avahi on the same port",
    async () => {
      await using lan = await makeLan({ hosts: 2 });
      await using mesh = await MeshOnLan.on(lan.hosts);
      using folder = temporaryFolder();
      const daemons = [];
      for (const host of lan.hosts) daemons.push(await startAvahi(host, folder.join(host.name)));
      await mesh.startAll();
      await mesh.allUp();
      for (const daemon of daemons) expect(existsSync(`/proc/${daemon.pid}`)).toBe(true);
    },
    TIMEOUT_MS,
  );

  testIf(
    "linux",
    "is not disturbed by another mesh on the same network, of machines with the same names",
    async () => {
      await using lan = await makeLan({ hosts: 4 });
      await using one = await MeshOnLan.on(lan.hosts.slice(0, 2));
      await using two = await MeshOnLan.on(lan.hosts.slice(2));
      await one.startAll();
      await two.startAll();
      await one.allUp();
      await two.allUp();
      await one.node(0).say("list");
      const { list = [] } = await one.node(0).find((said) => said.list !== undefined);
      expect(list.map(({ name, state }) => [name, state])).toEqual([
        ["a", "self"],
        ["b", "up"],
      ]);
      expect([...one.nodes, ...two.nodes].flatMap(({ said }) => said.filter(({ notice }) => notice))).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
