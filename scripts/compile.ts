// `bun run compile [--target NAME] [--outfile PATH] [--no-sourcemap]`: the program as one executable.

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { compile, type CompileOptions, TARGETS } from "./support/binary.ts";
import { ensureDependencies } from "./support/dependencies.ts";
import { entryPoint, giveUp, inProject, projectRoot } from "./support/project.ts";

const USAGE = `Usage: bun run compile [--target NAME] [--outfile PATH] [--no-sourcemap]

Targets: ${TARGETS.join(", ")}; without one, this machine.
The result is dist/mesh, or dist/mesh-<target>. Another target's runtime is fetched from the npm registry once.`;

const options = readArguments();
await ensureDependencies();
if (!(await Bun.file(inProject(entryPoint)).exists())) giveUp(`Cannot compile: ${entryPoint} is not there`);

const startedAt = performance.now();
try {
  const outfile = await compile(options);
  const sizeMb = (Bun.file(outfile).size / 1e6).toFixed(1);
  process.stdout.write(`${outfile}  ${sizeMb} MB, ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
} catch (error) {
  giveUp(explain(error));
}

function readArguments(): CompileOptions {
  try {
    const { values } = parseArgs({
      options: {
        target: { type: "string" },
        outfile: { type: "string" },
        sourcemap: { type: "boolean", default: true },
        help: { type: "boolean", short: "h" },
      },
      allowNegative: true,
    });
    if (values.help === true) {
      process.stdout.write(`${USAGE}\n`);
      process.exit(0);
    }
    const target = TARGETS.find((known) => known === values.target) ?? null;
    if (values.target !== undefined && target === null) giveUp(`Unknown target "${values.target}"\n\n${USAGE}`, 2);
    return {
      checkout: projectRoot,
      target,
      outfile: values.outfile === undefined ? null : resolve(values.outfile),
      sourcemap: values.sourcemap,
    };
  } catch (error) {
    return giveUp(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`, 2);
  }
}

function explain(error: unknown): string {
  const faults = error instanceof AggregateError ? error.errors : [error];
  const text = faults.map((fault) => Bun.inspect(fault)).join("\n");
  const isDownload = options.target !== null && /download|network|registry|extract|fetch|NetworkError/i.test(text);
  const advice = `The runtime for ${options.target} comes from the npm registry, once, and could not be had.`;
  return `Cannot compile.\n${text}${isDownload ? `\n${advice}` : ""}`;
}
