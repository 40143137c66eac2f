// `bun run test [ARGS]`: installs what is missing, compiles the program once, runs the tests (ARGS go to `bun test`),
// leaves nothing in the temporary folder, and ends with a line `N passed, N failed, N skipped`.
// MESH_TEST_REPORT names a file that gets the JUnit report.
// With MESH_TEST_REQUIRE=1 a test may be skipped only for something that no package could give this machine.

import { chmodSync, mkdtempSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { removeFolder } from "../test/support/temporary.ts";
import { ensureBinary } from "./support/binary.ts";
import { capture, show } from "./support/command.ts";
import { ensureDependencies } from "./support/dependencies.ts";
import { entryPoint, giveUp, inProject } from "./support/project.ts";
import { parseReport, type SkippedTest } from "./support/junit.ts";

/** Of one test that names no other: what takes milliseconds may take seconds beside everything else. */
const TIMEOUT_MS = 30_000;

const isStrict = process.env["MESH_TEST_REQUIRE"] === "1";

await ensureDependencies();
await compileForTests();
const temporary = mkdtempSync(join(tmpdir(), "mesh-test-"));
// Tests that run something as another user need a way in.
chmodSync(temporary, 0o1777);
const exitCode = await runTests(temporary);
await remove(temporary);
process.exit(exitCode);

async function compileForTests(): Promise<void> {
  if (!(await Bun.file(inProject(entryPoint)).exists())) return;
  try {
    if (await ensureBinary()) process.stdout.write("Compiled dist/mesh\n");
  } catch (error) {
    giveUp(`Cannot compile the program for its tests.\n${Bun.inspect(error)}`);
  }
}

async function runTests(folder: string): Promise<number> {
  const reportFile = join(folder, "junit.xml");
  const asked = process.argv.slice(2);
  const how = [`--parallel=${availableParallelism()}`, `--timeout=${TIMEOUT_MS}`, "--no-orphans", "--only-failures"];
  const reporter = ["--reporter=junit", `--reporter-outfile=${reportFile}`];
  const ended = await show([process.execPath, "test", ...how, ...reporter, ...asked], { TMPDIR: folder });
  const report = Bun.file(reportFile);
  const keepAs = process.env["MESH_TEST_REPORT"];
  if (keepAs !== undefined && (await report.exists())) await Bun.write(inProject(keepAs), report);
  const { passed, failed, skipped: notRun } = parseReport((await report.exists()) ? await report.text() : "");
  // The report calls skipped what a name pattern left out.
  const isFiltered = asked.some((arg) => arg === "-t" || arg.startsWith("--test-name-pattern"));
  const skipped = isFiltered ? notRun.filter((test) => test.reason !== null) : notRun;
  const unnamed = skipped.filter((test) => test.reason === null);
  printSkipped(skipped);
  if (isStrict && unnamed.length > 0) process.stdout.write("A skip must name what the machine lacks: see testIf().\n");
  // A file that does not load, or a runner that dies, fails no single test.
  const failures = Math.max(failed + (isStrict ? unnamed.length : 0), ended === 0 ? 0 : 1);
  process.stdout.write(`${passed} passed, ${failures} failed, ${skipped.length} skipped\n`);
  if (ended !== 0) return ended;
  return failures > 0 ? 1 : 0;
}

function printSkipped(skipped: readonly SkippedTest[]): void {
  const byReason = Map.groupBy(skipped, (test) => test.reason ?? "no reason given");
  for (const [reason, tests] of byReason) {
    process.stdout.write(`skipped ${tests.length}: ${reason}\n`);
    if (reason === "no reason given") for (const test of tests) process.stdout.write(`  ${test.file}: ${test.name}\n`);
  }
}

/** Removes a folder in which tests may have left anything: folders without permissions, mounts, whiteouts. */
async function remove(folder: string): Promise<void> {
  const mounts = await Bun.file("/proc/self/mounts")
    .text()
    .catch(() => "");
  const inside = mounts
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${folder}/`));
  for (const mount of inside.toReversed()) await capture(["umount", "-l", mount]);
  try {
    removeFolder(folder);
  } catch (error) {
    process.stderr.write(`Cannot remove ${folder}: ${String(error)}\n`);
  }
}
