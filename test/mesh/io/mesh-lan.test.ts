// Machines of a mesh on a LAN of namespaces: found by multicast, killed, frozen, cut off, revoked. Needs the ability "lan".

import { expect } from "bun:test";
import { makeLan } from "../../support/lan/lan.ts";
import { MeshOnLan } from "../../support/lan/mesh-on-lan.ts";
import { describeIf, testIf } from "../../support/require.ts";

const TIMEOUT_MS = 40_000;

function nowMs(): number {
  return performance.timeOrigin + performance.now();
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
    "works without multicast once an address is given, and says what is wrong",
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
