// One simulated mesh, from a seed to the end of all its runs. Throws `Broken` when a rule is.

import { peerNamed } from "../test/fake/claim-hub.ts";
import { Content } from "./content.ts";
import { randomDefinition } from "./definition.ts";
import { Faults, type Severity } from "./faults.ts";
import { Host } from "./host.ts";
import { Network } from "./network.ts";
import { Rules } from "./rules.ts";
import { must, World } from "./world.ts";

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
  readonly messages: number;
  /** By run. */
  readonly ends: readonly string[];
  readonly virtualMs: number;
}

/** How long runs may take once nothing goes wrong any more. */
const END_WITHIN_MS = 30 * 60_000;
/** Each so many seeds it is waited until nothing of any run is left anywhere. */
const QUIET_EACH = 10;

export function simulate({ seed, nodes, tell }: SimulationOptions): Report {
  const world = new World(seed, tell);
  const { random } = world;
  const severity = random.pick<Severity>(["none", "crashes", "all", "all"]);
  const count = nodes ?? (random.chance(0.02) ? 20 + random.below(180) : 1 + random.below(8));
  const hosts = Array.from({ length: count }, (_, at) => makeHost(world, at));
  const shape = {
    latencyMs: random.pick([0.2, 1, 20, 100]),
    jitterMs: random.pick([0.1, 5, 50]),
    loss: random.pick([0, 0, 0.05]),
    reordering: random.pick([0, 0.02, 0.2]),
    doubling: random.pick([0, 0.02, 0.1]),
  };
  const network = new Network(world, shape, hosts);
  const rules = new Rules(world);
  const content = new Content(world, network, hosts);
  const byId = new Map(hosts.map((host) => [host.id, host]));
  for (const host of hosts) host.around = { world, network, content, rules, byId };
  for (const host of hosts) host.start();
  const untilMs = 20_000 + random.below(80_000);
  new Faults({ world, network, rules, hosts }, untilMs).begin(severity);

  const recipes = 3 + random.below(40);
  const runs: string[] = [];
  let tasks = 0;
  for (let at = 0; at < 1 + random.below(3); at++) {
    const run = `run${at}`;
    const definition = randomDefinition(random, 1 + random.below(count > 20 ? 200 : 25), recipes);
    tasks += definition.tasks.length;
    runs.push(run);
    const submitter = random.pick(hosts);
    world.after(random.below(10_000), () => submitter.submit(run, definition));
    if (random.chance(0.1)) world.after(random.below(30_000), () => submitter.cancel(run));
  }
  const lastMs = Math.max(severity === "none" ? 0 : untilMs, 10_000) + END_WITHIN_MS;
  while (runs.some((run) => rules.endOf(run) === null)) {
    must(world.nowMs < lastMs && world.step(), () => `${openRuns(hosts, runs, rules)} after ${world.nowMs} ms`);
  }
  if (seed % QUIET_EACH === 0) checkQuiet(world, hosts, untilMs);
  const ends = runs.map((run) => rules.endOf(run) ?? "");
  const { performed, twice } = rules;
  return { severity, nodes: count, tasks, performed, twice, messages: network.sent, ends, virtualMs: world.nowMs };
}

function makeHost(world: World, at: number): Host {
  const { random } = world;
  const name = `m${at}`;
  const total = { cpuMilli: 2_000 + 500 * random.below(5), memoryBytes: 0, diskBytes: 0 };
  const totals = { name, os: "linux", arch: "x64", labels: [], baseKeys: [], total, gpus: [] };
  const speedPercent = random.pick([50, 100, 100, 200]);
  const rate = 1 + (random.next() - 0.5) / 1_000;
  return new Host({ id: peerNamed(name), totals, speedPercent }, { rate, wallOffMs: Math.round(random.below(2_000)) });
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
