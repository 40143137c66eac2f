import { expect, test } from "bun:test";
import { LIMITS } from "../../src/base/limits.ts";
import { Host } from "../../sim/host.ts";
import { Lan } from "../../sim/lan.ts";
import { Network } from "../../sim/network.ts";
import { Rules } from "../../sim/rules.ts";
import { TransferRules } from "../../sim/transfer-rules.ts";
import { World } from "../../sim/world.ts";
import { peerNamed } from "../fake/claim-hub.ts";

const DIGEST = "out(k)";
const LAN = { latencyMs: 1, jitterMs: 1, loss: 0, reordering: 0, doubling: 0, multicast: true };

/** A fetch of three pieces to `here`, from `a` and `b`. */
class Fetch {
  readonly world = new World(1, null);
  readonly here = hostNamed("here");
  readonly a = hostNamed("a");
  readonly b = hostNamed("b");
  readonly rules: TransferRules;

  constructor() {
    const hosts = [this.here, this.a, this.b];
    const lan = new Lan(this.world, LAN, hosts);
    const network = new Network(this.world, LAN, lan);
    const byId = new Map(hosts.map((host) => [host.id, host]));
    const around = { world: this.world, lan, network, rules: new Rules(this.world), byId, timing: {} };
    for (const host of hosts) host.around = around;
    for (const host of hosts) host.start();
    this.letPass(1_000);
    this.rules = new TransferRules({ host: this.here, digest: DIGEST, pieces: [1, 1, 1] });
  }

  letPass(ms: number): void {
    const untilMs = this.world.nowMs + ms;
    this.world.after(ms, () => undefined);
    while (this.world.nowMs < untilMs) this.world.step();
  }

  asks(host: Host, piece: number): void {
    this.rules.wants({ kind: "fetch", peer: host.id, piece });
  }

  gets(host: Host, piece: number): void {
    this.here.disk.keepPiece(DIGEST, piece, true);
    this.rules.told({ kind: "done", peer: host.id, piece });
  }

  fails(host: Host, piece: number, why: "missing" | "lost" | "lied"): void {
    this.rules.told({ kind: "failed", peer: host.id, piece, why });
  }
}

function hostNamed(name: string): Host {
  const total = { cpuMilli: 1_000, memoryBytes: 0, diskBytes: 0 };
  const totals = { name, os: "linux", arch: "x64", labels: [], baseKeys: [], total, gpus: [] };
  const given = { id: peerNamed(name), totals, speedPercent: 100, lineBytesPerMs: 1 };
  return new Host(given, { rate: 1, wallOffMs: 0 });
}

test("TransferRules sees who is asked that lied, is gone, or never sends anything", () => {
  const fetch = new Fetch();
  fetch.asks(fetch.a, 0);
  fetch.fails(fetch.a, 0, "lied");
  expect(() => fetch.asks(fetch.a, 1)).toThrow("asks for piece 1 of a, which lied");
  expect(() => fetch.rules.wants({ kind: "join", peer: fetch.a.id })).toThrow("asks a again, which lied");
  fetch.rules.told({ kind: "gone", peer: fetch.b.id });
  expect(() => fetch.asks(fetch.b, 0)).toThrow("which is gone");
  fetch.rules.told({ kind: "joined", peer: fetch.b.id, has: null, swarm: [] });
  for (let times = 0; times < 6; times++) {
    fetch.asks(fetch.b, 0);
    fetch.fails(fetch.b, 0, "lost");
  }
  expect(() => fetch.asks(fetch.b, 0)).toThrow("which has lost 6");
});

test("TransferRules sees a piece that is asked for twice, or though it is here", () => {
  const fetch = new Fetch();
  fetch.asks(fetch.a, 0);
  expect(() => fetch.asks(fetch.b, 0)).toThrow("asks for piece 0 of b beside 1 others, the last 0 ms ago");
  fetch.letPass(100);
  fetch.asks(fetch.b, 0);
  fetch.gets(fetch.b, 0);
  expect(() => fetch.rules.stepped()).toThrow("still asks for piece 0");
  fetch.rules.wants({ kind: "abort", peer: fetch.a.id, piece: 0 });
  fetch.rules.stepped();
  expect(() => fetch.asks(fetch.a, 0)).toThrow("asks for piece 0 of a and has it");
});

test("TransferRules sees who is asked for what it has not, until it says that it has", () => {
  const fetch = new Fetch();
  fetch.asks(fetch.a, 0);
  fetch.fails(fetch.a, 0, "missing");
  expect(() => fetch.asks(fetch.a, 0)).toThrow("asks for piece 0 of a, which has not got it");
  fetch.rules.told({ kind: "heard", peer: fetch.a.id, word: { kind: "got", piece: 0 } });
  fetch.asks(fetch.a, 0);
});

test("TransferRules sees content that is complete without all its pieces, or with a wrong one", () => {
  const fetch = new Fetch();
  for (const piece of [0, 1]) {
    fetch.asks(fetch.a, piece);
    fetch.gets(fetch.a, piece);
  }
  expect(() => fetch.rules.wants({ kind: "complete" })).toThrow("is complete with 2 of 3 pieces");
  const other = new Fetch();
  for (const piece of [0, 1, 2]) other.here.disk.keepPiece(DIGEST, piece, piece !== 1);
  expect(() => other.rules.wants({ kind: "complete" })).toThrow("is complete with 2 of 3 pieces");
  const whole = new Fetch();
  for (const piece of [0, 1, 2]) whole.here.disk.keepPiece(DIGEST, piece, true);
  expect(() => whole.rules.stepped()).toThrow("has all 3 pieces and goes on");
  whole.rules.wants({ kind: "complete" });
  expect(() => whole.rules.wants({ kind: "search" })).toThrow("goes on after its end: search");
});

test("TransferRules sees who gives up too soon, or what was there all the time", () => {
  const fetch = new Fetch();
  expect(() => fetch.rules.wants({ kind: "missing", pieces: 3 })).toThrow("gives up after 0 ms");
  const other = new Fetch();
  other.a.disk.keepWhole(DIGEST);
  other.rules.wants({ kind: "search" });
  other.letPass(LIMITS.contentSearchMs);
  expect(() => other.rules.wants({ kind: "missing", pieces: 3 })).toThrow("gives up, and a had it since 1000 ms");
});

test("TransferRules sees a fetch that does not end, unless its process has ended", () => {
  const fetch = new Fetch();
  expect(() => fetch.letPass(10 * LIMITS.contentStallMs)).toThrow("here's fetch of out(k) stands still since 1000 ms");
  const other = new Fetch();
  other.here.crash();
  other.letPass(10 * LIMITS.contentStallMs);
});
