// One simulated mesh, from a seed to the end of all its runs. Throws `Broken` when a rule is.

import { LIMITS } from "../src/base/limits.ts";
import type { Timing } from "../src/mesh/membership-event.ts";
import { peerNamed } from "../test/fake/claim-hub.ts";
import type { SeededRandom } from "../test/fake/seeded-random.ts";
import { randomDefinition } from "./definition.ts";
import { Faults, type Severity } from "./faults.ts";
import { Host } from "./host.ts";
import { Lan } from "./lan.ts";
import { addressOf } from "./mesh-node.ts";
import { Network } from "./network.ts";
import { type Fetches, Rules } from "./rules.ts";
import { Sight } from "./sight.ts";
import { must, World } from "./world.ts";

/** More machines than this beat slower, by so much. */
const MANY = 40;
const SLOWDOWN = 10;

export interface SimulationOptions {
  readonly seed: number;
  /** Null for a number that the seed decides. */
  readonly nodes: number | null;
  /** Takes a line for each thing that happens; null when nobody reads along. */
  readonly tell: ((line: string) => void) | null;
}

export interface Report {
  readonly severity: Severity;
  readonly nodes: number;
  readonly tasks: number;
  readonly performed: number;
  /** Keys that ran twice at once, on two sides of a division. */
  readonly twice: number;
  readonly fetches: Fetches;
  readonly messages: number;
  /** By run. */
  readonly ends: readonly string[];
  readonly virtualMs: number;
}

/** How long runs may take once nothing goes wrong any more. */
const END_WITHIN_MS = 30 * 60_000;
/** Each so many seeds it is waited until nothing of any run is left anywhere, unless there are more machines than this. */
const QUIET_EACH = 10;
const QUIET_MOST = 12;

export function simulate({ seed, nodes, tell }: SimulationOptions): Report {
  const world = new World(seed, tell);
  const { random } = world;
  const severity = random.pick<Severity>(["none", "crashes", "all", "all"]);
  const count = nodes ?? someNodes(random);
  const hosts = Array.from({ length: count }, (_, at) => makeHost(world, at));
  const shape = {
    latencyMs: random.pick([0.2, 1, 20, 100]),
    jitterMs: random.pick([0.1, 5, 50]),
    loss: random.pick([0, 0, 0.05]),
    reordering: random.pick([0, 0.02, 0.2]),
    doubling: random.pick([0, 0.02, 0.1]),
    multicast: random.chance(0.9),
  };
  const lan = new Lan(world, shape, hosts);
  const network = new Network(world, shape, lan);
  const rules = new Rules(world);
  const byId = new Map(hosts.map((host) => [host.id, host]));
  const slowdown = count > MANY ? SLOWDOWN : 1;
  const timing = timingOf(slowdown);
  for (const host of hosts) host.around = { world, lan, network, rules, byId, timing };
  // Whoever joined has the address of the one that invited it.
  for (const host of hosts.slice(1)) {
    const inviter = random.pick(hosts.slice(0, hosts.indexOf(host)));
    host.disk.addresses = [{ peer: inviter.id, addresses: [addressOf(inviter)] }];
  }
  for (const host of hosts) host.start();
  const sight = new Sight({ world, lan, rules, hosts }, slowdown);
  sight.watch(1_000);
  rules.look = () => sight.look();
  // Hundreds of machines have as much to tell in less time.
  const untilMs = 20_000 + random.below(count > MANY ? 20_000 : random.chance(0.1) ? 160_000 : 80_000);
  const submitters = new Set<Host>();
  new Faults({ world, lan, rules, hosts, submitters }, untilMs).begin(severity);

  const recipes = { count: 3 + random.below(40), outputBytes: random.pick([1_000_000, 1_000_000, 5_000_000]) };
  const runs: string[] = [];
  let tasks = 0;
  for (let at = 0; at < 1 + random.below(3); at++) {
    const run = `run${at}`;
    const definition = randomDefinition(random, 1 + random.below(count > 20 ? 200 : 25), recipes);
    tasks += definition.tasks.length;
    runs.push(run);
    const submitter = random.pick(hosts);
    submitters.add(submitter);
    world.after(random.below(10_000), () => submitter.submit(run, definition));
    if (random.chance(0.1)) world.after(random.below(30_000), () => submitter.cancel(run));
  }
  const lastMs = Math.max(severity === "none" ? 0 : untilMs, 10_000) + END_WITHIN_MS;
  while (runs.some((run) => rules.endOf(run) === null)) {
    must(world.nowMs < lastMs && world.step(), () => `${openRuns(hosts, runs, rules)} after ${world.nowMs} ms`);
  }
  if (seed % QUIET_EACH === 0 && count <= QUIET_MOST) checkQuiet(world, hosts, untilMs);
  const ends = runs.map((run) => rules.endOf(run) ?? "");
  const { performed, twice, fetches } = rules;
  return {
    severity,
    nodes: count,
    tasks,
    performed,
    twice,
    fetches,
    messages: network.sent,
    ends,
    virtualMs: world.nowMs,
  };
}

/** Few, as most meshes have; some have dozens, and one of 500 hundreds, which costs as much as all the others. */
function someNodes(random: SeededRandom): number {
  const kind = random.next();
  return kind < 0.9 ? 1 + random.below(8) : kind < 0.998 ? 9 + random.below(32) : 100 + random.below(150);
}

/** Where each of hundreds says each second to all others that it lives, nothing else would be simulated: all clocks go slower. */
function timingOf(slowdown: number): Partial<Timing> {
  const { heartbeatMs, suspectMs, silentMs, reconnectMs } = LIMITS;
  return {
    heartbeatMs: heartbeatMs * slowdown,
    suspectMs: suspectMs * slowdown,
    silentMs: silentMs * slowdown,
    reconnectMs: reconnectMs * slowdown,
  };
}

function makeHost(world: World, at: number): Host {
  const { random } = world;
  const name = `m${at}`;
  const total = { cpuMilli: 2_000 + 500 * random.below(5), memoryBytes: 0, diskBytes: 0 };
  const totals = { name, os: "linux", arch: "x64", labels: [], baseKeys: [], total, gpus: [] };
  const speedPercent = random.pick([50, 100, 100, 200]);
  const rate = 1 + (random.next() - 0.5) / 1_000;
  const lineBytesPerMs = random.pick([10_000, 100_000, 100_000]);
  return new Host(
    { id: peerNamed(name), totals, speedPercent, lineBytesPerMs },
    { rate, wallOffMs: Math.round(random.below(2_000)) },
  );
}

/** Long after the last run nothing of any is left: no lease, no attempt, no end that nobody took. */
function checkQuiet(world: World, hosts: readonly Host[], untilMs: number): void {
  const quietAtMs = Math.max(world.nowMs, untilMs) + 25 * 60_000;
  while (world.nowMs < quietAtMs && world.step());
  for (const host of hosts) {
    const left = host.worker?.book.list().map(({ lease, phase }) => `${lease} ${phase}`) ?? [];
    must(left.length === 0, () => `${host.name} still has ${left.join(", ")}`);
    const leases = host.worker?.ledger.leases() ?? [];
    must(leases.length === 0, () => `${host.name} still leases ${leases.map(({ id }) => id).join(", ")}`);
    must(host.exchange === null || host.exchange.size === 0, () => `${host.name} still fetches`);
  }
}

function openRuns(hosts: readonly Host[], runs: readonly string[], rules: Rules): string {
  const open = runs.filter((run) => rules.endOf(run) === null);
  const states = open.map((run) => {
    const coordinator = hosts.find((host) => host.coordinators.has(run))?.coordinators.get(run);
    const tasks = coordinator?.machine.tasks.filter(({ phase }) => phase !== "final") ?? [];
    return `${run}: ${tasks.map((task) => `${task.key} ${task.phase} ${task.open} ${task.node ?? ""}`).join(", ")}`;
  });
  return `Not ended: ${states.join("; ")}`;
}
