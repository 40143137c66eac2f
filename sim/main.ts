// `bun run sim --seeds N`: simulates meshes from seeds, and names the first seed that breaks a rule.
//   --seed S      only this one; --trace prints all that happens in it
//   --nodes N     machines in each mesh, instead of a number by chance
//   --traces DIR  judges placing on the workflows in DIR instead

import { parseArgs } from "node:util";
import { judgeFolder } from "./judge.ts";
import { type Report, simulate } from "./simulation.ts";
import { Broken } from "./world.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    nodes: { type: "string" },
    trace: { type: "boolean", default: false },
    traces: { type: "string" },
  },
});

if (values.traces !== undefined) process.stdout.write(judgeFolder(values.traces));
else process.exitCode = simulateAll();

function simulateAll(): number {
  const nodes = values.nodes === undefined ? null : number("nodes", values.nodes);
  const first = values.seed === undefined ? number("from", values.from) : number("seed", values.seed);
  const count = values.seed === undefined ? number("seeds", values.seeds) : 1;
  const tell = values.trace ? (line: string) => void process.stdout.write(`${line}\n`) : null;
  const sums = new Sums();
  for (let seed = first; seed < first + count; seed++) {
    try {
      sums.add(simulate({ seed, nodes, tell }));
    } catch (error) {
      process.stdout.write(
        `✗ seed ${seed}: ${error instanceof Broken ? error.message : String((error as Error).stack)}\n`,
      );
      process.stdout.write(`  bun run sim --seed ${seed}${nodes === null ? "" : ` --nodes ${nodes}`} --trace\n`);
      return 1;
    }
  }
  process.stdout.write(sums.text());
  return 0;
}

/** Ends the program when it is none: no seeds would be as good as all of them. */
function number(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  process.stderr.write(`Cannot read --${flag} ${JSON.stringify(text)}: a whole number from 1 on is expected\n`);
  return process.exit(2);
}

/** What all the seeds together came to. */
class Sums {
  #seeds = 0;
  #tasks = 0;
  #performed = 0;
  #twice = 0;
  #messages = 0;
  #virtualMs = 0;
  #mostNodes = 0;
  readonly #ends = new Map<string, number>();
  readonly #fetched = new Map<string, number>();
  readonly #fetches = { pieces: 0, shared: 0, resumed: 0, seconds: 0, lies: 0 };

  add(report: Report): void {
    this.#seeds++;
    this.#tasks += report.tasks;
    this.#performed += report.performed;
    this.#twice += report.twice;
    this.#messages += report.messages;
    this.#virtualMs += report.virtualMs;
    this.#mostNodes = Math.max(this.#mostNodes, report.nodes);
    for (const end of report.ends) count(this.#ends, end, 1);
    const { ends, ...sums } = report.fetches;
    for (const [end, times] of ends) count(this.#fetched, end, times);
    for (const of of ["pieces", "shared", "resumed", "seconds", "lies"] as const) this.#fetches[of] += sums[of];
  }

  text(): string {
    const { pieces, shared, resumed, seconds, lies } = this.#fetches;
    return [
      `✓ ${this.#seeds} seeds, up to ${this.#mostNodes} machines, ${(this.#virtualMs / 3_600_000).toFixed(1)} hours of their time`,
      `  runs: ${listOf(this.#ends)}`,
      `  ${this.#tasks} tasks, ${this.#performed} attempts, ${this.#twice} keys twice at once while divided, ${this.#messages} messages`,
      `  outputs fetched: ${listOf(this.#fetched)}; ${shared} from several machines, ${resumed} resumed`,
      `  ${pieces} pieces, ${seconds} asked of a second machine, ${lies} wrong`,
      "",
    ].join("\n");
  }
}

function count(counts: Map<string, number>, of: string, times: number): void {
  counts.set(of, (counts.get(of) ?? 0) + times);
}

function listOf(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .map(([of, times]) => `${times} ${of}`)
    .toSorted()
    .join(", ");
}
