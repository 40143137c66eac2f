// `bun run demo`: from a bare checkout to a pipeline that runs, and runs again from the cache.

import { binaryPath, ensureBinary } from "./support/binary.ts";
import { show } from "./support/command.ts";
import { ensureDependencies } from "./support/dependencies.ts";
import { entryPoint, giveUp, inProject } from "./support/project.ts";

const QUICKSTART = "examples/quickstart/tasks.yml";

const NEXT_STEPS = `
That was one pipeline, twice. Try next:

  dist/mesh run ${QUICKSTART} --init name=you
      another input: only the task that reads it runs
  dist/mesh why greet
      why a task ran, or did not have to
  dist/mesh results
      what the last run left
  dist/mesh doctor
      what this machine can do, and how to get more out of it
  dist/mesh run .mesh/ci.yml
      mesh checks itself (needs the npm registry)
`;

await ensureDependencies();
if (!(await Bun.file(inProject(entryPoint)).exists())) giveUp(`Cannot compile: ${entryPoint} is not there`);
try {
  if (await ensureBinary()) process.stdout.write("Compiled dist/mesh\n");
} catch (error) {
  giveUp(`Cannot compile.\n${Bun.inspect(error)}`);
}

await runQuickstart("First run");
process.stdout.write("\nWhat one of its tasks printed\n$ mesh logs picture\n\n");
await show([binaryPath, "logs", "picture"]);
await runQuickstart("The same again: nothing changed, so nothing runs");
process.stdout.write(NEXT_STEPS);

async function runQuickstart(title: string): Promise<void> {
  process.stdout.write(`\n${title}\n$ mesh run ${QUICKSTART}\n\n`);
  const exitCode = await show([binaryPath, "run", QUICKSTART]);
  if (exitCode !== 0) giveUp(`\nThe run failed. \`dist/mesh doctor\` says what this machine lacks.`, exitCode);
}
