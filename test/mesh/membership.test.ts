import { describe, expect, test } from "bun:test";
import { MembershipWorld, type WorldNode } from "../fake/membership-world.ts";

/** Machines that know of each other, all connected. */
function meshOf(names: readonly string[], seed = 1): { world: MembershipWorld; nodes: WorldNode[] } {
  const world = new MembershipWorld(seed);
  const nodes = names.map((name) => world.add(name));
  world.admitAll();
  world.announceAll();
  world.run(1_000);
  return { world, nodes };
}

function pairOf(seed = 1): { world: MembershipWorld; a: WorldNode; b: WorldNode } {
  const { world, nodes } = meshOf(["a", "b"], seed);
  const [a, b] = nodes;
  if (a === undefined || b === undefined) throw new Error("two nodes");
  return { world, a, b };
}

/** How long after `sinceMs` a node told of a change; null when it did not. */
function delayOf(node: WorldNode, change: string, peer: string, sinceMs: number): number | null {
  const told = node.changes.find((entry) => entry.atMs >= sinceMs && entry.change === change && entry.peer === peer);
  return told === undefined ? null : told.atMs - sinceMs;
}

describe("Membership finds", () => {
  test("machines that announce themselves, with one connection for two", () => {
    const { a, b } = pairOf();
    expect([a.stateOf(b), b.stateOf(a), a.linkCount, b.linkCount]).toEqual(["up", "up", 1, 1]);
    expect(delayOf(a, "up", "b", 1_000)).toBeLessThan(20);
  });

  test("nobody by an announcement alone: the roster says who is a member", () => {
    const world = new MembershipWorld(1);
    const [a, b] = [world.add("a"), world.add("b")];
    world.announceAll();
    world.run(2_000);
    expect([a.stateOf(b), a.linkCount]).toEqual([null, 0]);
  });

  test("machines of which only peers tell", () => {
    const world = new MembershipWorld(3);
    const [a, b, c] = [world.add("a"), world.add("b"), world.add("c")];
    world.admitAll();
    b.announceTo(a);
    c.announceTo(b);
    world.run(3_000);
    expect([a.stateOf(c), c.stateOf(a)]).toEqual(["up", "up"]);
  });

  test("fifty machines at once, and all of them all", () => {
    const { nodes } = meshOf(Array.from({ length: 50 }, (_, index) => `node-${index}`));
    const seen = nodes.flatMap((node) => nodes.filter((other) => other !== node).map((other) => node.stateOf(other)));
    expect(seen.filter((state) => state !== "up")).toEqual([]);
    expect(nodes.map((node) => node.linkCount)).toEqual(nodes.map(() => 49));
  });

  test("what is urgent by a heartbeat at once, to all who are connected", () => {
    const { world, nodes } = meshOf(["a", "b", "c"]);
    const [a] = nodes;
    world.run(150);
    const before = a?.effects.length ?? 0;
    a?.take({ kind: "urgent" });
    const sent = a?.effects.slice(before).filter(({ kind }) => kind === "send-heartbeat");
    expect(sent).toHaveLength(2);
    a?.take({ kind: "tick" });
    expect(a?.effects.slice(before).filter(({ kind }) => kind === "send-heartbeat")).toHaveLength(2);
  });

  test("a machine again whose address changed", () => {
    const { world, a, b } = pairOf();
    world.loses = () => true;
    world.run(6_000);
    b.address = { host: "10.9.9.9", port: 7433 };
    world.loses = () => false;
    b.announceTo(a);
    world.run(500);
    expect([a.stateOf(b), b.stateOf(a)]).toEqual(["up", "up"]);
  });
});

test("Membership lets the machine with the smaller id dial first", () => {
  const world = new MembershipWorld(1);
  const nodes = ["a", "b", "c", "d"].map((name) => world.add(name));
  world.admitAll();
  world.announceAll();
  world.run(2_000);
  const dials = nodes.flatMap((node) =>
    node.effects.flatMap((effect) => (effect.kind === "dial" ? [{ from: node.id, to: effect.peer }] : [])),
  );
  expect(dials.length).toBe(6);
  expect(dials.filter(({ from, to }) => from > to)).toEqual([]);
});

describe("Membership notices", () => {
  test("a killed machine in less than a second", () => {
    const { world, a, b } = pairOf();
    const killedAtMs = world.nowMs;
    b.kill();
    world.run(1_000);
    expect(a.stateOf(b)).toBe("down");
    expect(delayOf(a, "suspect", "b", killedAtMs)).toBeLessThan(10);
    expect(delayOf(a, "down", "b", killedAtMs)).toBeLessThan(1_000);
  });

  test("a machine that falls silent: suspect after 2.5 s, down in less than 4", () => {
    const { world, a, b } = pairOf();
    b.powerOff();
    const offAtMs = world.nowMs;
    world.run(1_400);
    expect(a.stateOf(b)).toBe("up");
    world.run(3_000);
    expect(a.stateOf(b)).toBe("down");
    expect(a.reasonOf(b)).toMatch(/^silent for 3\.\d s$/);
    expect(delayOf(a, "suspect", "b", offAtMs)).toBeGreaterThan(1_400);
    expect(delayOf(a, "down", "b", offAtMs)).toBeLessThan(4_000);
  });

  test("a machine that is frozen, and that it is back", () => {
    const { world, a, b } = pairOf();
    b.freeze();
    world.run(5_000);
    expect(a.stateOf(b)).toBe("down");
    b.thaw();
    world.run(3_000);
    expect([a.stateOf(b), b.stateOf(a), a.linkCount]).toEqual(["up", "up", 1]);
  });

  test("nothing of others when it was frozen itself for less than they wait", () => {
    const { world, nodes } = meshOf(["a", "b", "c"]);
    const [a, b, c] = nodes;
    if (a === undefined || b === undefined || c === undefined) throw new Error("three nodes");
    const since = a.changes.length;
    a.freeze();
    world.run(2_000);
    a.thaw();
    world.run(3_000);
    expect(a.changes.slice(since)).toEqual([]);
    expect([a.stateOf(b), b.stateOf(a), c.stateOf(a)]).toEqual(["up", "up", "up"]);
  });

  test("no silence of others in a long freeze of its own: it sees their closed connections and comes back", () => {
    const { world, a, b } = pairOf();
    a.freeze();
    world.run(60_000);
    const thawedAtMs = world.nowMs;
    a.thaw();
    world.run(1_000);
    expect(a.reasonOf(b)).toBeNull();
    expect([a.stateOf(b), b.stateOf(a)]).toEqual(["up", "up"]);
    expect(delayOf(a, "down", "b", thawedAtMs)).toBeNull();
  });

  test("a partition, and its healing", () => {
    const { world, nodes } = meshOf(["a", "b", "c", "d"]);
    const side = (node: WorldNode) => (nodes.indexOf(node) < 2 ? 0 : 1);
    world.loses = (from, to) => side(from) !== side(to);
    world.run(5_000);
    const states = () => nodes.map((node) => nodes.map((other) => node.stateOf(other)));
    expect(states()).toEqual([
      ["self", "up", "down", "down"],
      ["up", "self", "down", "down"],
      ["down", "down", "self", "up"],
      ["down", "down", "up", "self"],
    ]);
    world.loses = () => false;
    world.run(20_000);
    expect(new Set(states().flat())).toEqual(new Set(["self", "up"] as const));
  });

  test("loss one way, at the end that hears nothing and then at both", () => {
    const { world, a, b } = pairOf();
    world.loses = (from) => from === a;
    world.run(4_000);
    expect(b.stateOf(a)).toBe("down");
    world.run(5_000);
    expect(a.stateOf(b)).toBe("down");
    world.loses = () => false;
    world.run(20_000);
    expect([a.stateOf(b), b.stateOf(a), a.linkCount, b.linkCount]).toEqual(["up", "up", 1, 1]);
  });

  test("a machine that came back with the power before its silence was noticed", () => {
    const { world, a, b } = pairOf();
    b.powerOff();
    world.run(1_000);
    b.restart();
    world.admitAll();
    world.announceAll();
    world.run(3_000);
    expect([a.stateOf(b), b.stateOf(a), a.linkCount, b.linkCount]).toEqual(["up", "up", 1, 1]);
  });
});

describe("Membership keeps out", () => {
  test("a machine that was revoked, at once and when it comes again", () => {
    const { world, a, b } = pairOf();
    world.admitAll((node) => (node === b ? "revoked" : "member"));
    world.run(100);
    expect([a.stateOf(b), a.linkCount, b.linkCount]).toEqual(["revoked", 0, 0]);
    expect(a.reasonOf(b)).toBe("its grant was taken back");
    world.announceAll();
    world.run(5_000);
    expect([a.linkCount, b.linkCount]).toEqual([0, 0]);
  });

  test("a second machine with one identity, and says so", () => {
    const { world, nodes } = meshOf(["a", "b"]);
    const [a, b] = nodes;
    if (a === undefined || b === undefined) throw new Error("two nodes");
    const copy = world.addCopy(b);
    world.run(100);
    world.admitAll();
    a.announceTo(copy);
    world.run(2_000);
    expect(a.effects.filter(({ kind }) => kind === "copied").length).toBeGreaterThan(0);
  });

  test("its own announcement coming back as an echo, but not another instance's", () => {
    const { world, a } = pairOf();
    const sighted = (instance: string) => {
      a.take({ kind: "sighted", peer: a.id, instance, addresses: [{ host: "10.0.0.99", port: 7433 }] });
      return a.effects.some(({ kind }) => kind === "copied");
    };
    expect(sighted(a.instance)).toBe(false);
    expect(sighted("f".repeat(16))).toBe(false);
    world.run(1_500);
    expect(sighted(a.instance)).toBe(false);
    expect(sighted("f".repeat(16))).toBe(true);
  });
});

/** A world in which machines are killed, restarted, frozen, cut off and moved by chance, and then left in peace. */
function troubledWorld(seed: number): { world: MembershipWorld; nodes: WorldNode[] } {
  const { world, nodes } = meshOf(["a", "b", "c", "d", "e"], seed);
  const { random } = world;
  for (let round = 0; round < 12; round++) {
    const node = random.pick(nodes);
    const cut = new Set(nodes.filter(() => random.chance(0.3)));
    switch (random.below(6)) {
      case 0:
        node.kill();
        break;
      case 1:
        node.powerOff();
        break;
      case 2:
        node.freeze();
        break;
      case 3:
        node.thaw();
        break;
      case 4:
        world.loses = (from, to) => cut.has(from) !== cut.has(to);
        break;
      default:
        world.loses = (from) => cut.has(from);
    }
    world.run(random.below(5_000));
    for (const other of nodes) if (!other.isAlive && random.chance(0.5)) other.restart();
    world.admitAll();
    if (random.chance(0.5)) world.announceAll();
  }
  world.loses = () => false;
  for (const node of nodes) {
    node.thaw();
    if (!node.isAlive) node.restart();
  }
  world.admitAll();
  world.announceAll();
  return { world, nodes };
}

describe("Membership from seeds", () => {
  for (let seed = 1; seed <= 60; seed++) {
    test(`after trouble all are connected again, once (seed ${seed})`, () => {
      const { world, nodes } = troubledWorld(seed);
      world.run(40_000);
      const wrong = nodes.flatMap((node) =>
        nodes
          .filter((other) => other !== node && node.stateOf(other) !== "up")
          .map((other) => `${node.name} sees ${other.name} ${node.stateOf(other)}: ${node.reasonOf(other)}`),
      );
      expect(wrong).toEqual([]);
      expect(nodes.map((node) => node.linkCount)).toEqual([4, 4, 4, 4, 4]);
      // Nobody is told of changes when nothing happens.
      const told = nodes.map((node) => node.changes.length);
      world.run(10_000);
      expect(nodes.map((node) => node.changes.length)).toEqual(told);
    });
  }
});
