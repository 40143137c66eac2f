// `bun run check [STEP...] [--fix] [--no-tests]`: the one gate. Says which steps hold, shows what the others print,
// and exits 1 when one fails. The steps that only read run side by side; the tests then have the machine to themselves.

import { readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { capture } from "./support/command.ts";
import { ensureDependencies } from "./support/dependencies.ts";
import { entryPoint, giveUp, inProject } from "./support/project.ts";

interface Step {
  readonly name: string;
  /** Arguments to Bun. */
  readonly argv: readonly string[];
  /** Replaces `argv` under --fix. */
  readonly fixArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Without this file the step has nothing to judge, and says so. */
  readonly needs?: string;
}

const FOLDERS = ["src", "test", "scripts", "bench", "sim", "examples"].filter((folder) => isFolder(folder));
const OXFMT = tool("oxfmt/bin/oxfmt");
const OXLINT = [tool("oxlint/bin/oxlint"), ...FOLDERS];

const STEPS: readonly Step[] = [
  { name: "format", argv: [OXFMT, "--check", "."], fixArgv: [OXFMT, "."] },
  { name: "lint", argv: OXLINT, fixArgv: [...OXLINT, "--fix"], env: typeAwareLinter() },
  { name: "types", argv: [tool("typescript/bin/tsc"), "-p", "."] },
  { name: "layout", argv: ["test", "./test/layout.test.ts"] },
  { name: "unused", argv: [tool("knip/bin/knip.js"), "--no-progress"], needs: entryPoint },
];

const TESTS: Step = { name: "tests", argv: ["scripts/test.ts"] };

const { chosen, isFix } = readArguments();
await ensureDependencies();
// A formatter that writes must not race with what reads.
const sideBySide = chosen.filter((step) => step !== TESTS && !(isFix && step.fixArgv !== undefined));
const inTurn = chosen.filter((step) => step !== TESTS && !sideBySide.includes(step));
const verdicts: boolean[] = [];
for (const step of inTurn) verdicts.push(await perform(step));
verdicts.push(...(await Promise.all(sideBySide.map(perform))));
if (chosen.includes(TESTS)) verdicts.push(await perform(TESTS));
process.exit(verdicts.every(Boolean) ? 0 : 1);

async function perform(step: Step): Promise<boolean> {
  if (step.needs !== undefined && !(await Bun.file(inProject(step.needs)).exists())) {
    process.stdout.write(`- ${step.name.padEnd(8)} not asked: ${step.needs} is not there\n`);
    return true;
  }
  const argv = isFix ? (step.fixArgv ?? step.argv) : step.argv;
  const { exitCode, output, durationMs } = await capture([process.execPath, ...argv], step.env);
  const time = `${(durationMs / 1000).toFixed(1)} s`.padStart(7);
  const lastLine = output.trimEnd().split("\n").at(-1) ?? "";
  const said = step === TESTS ? `  ${/^\d+ passed.*$/m.exec(output)?.[0] ?? lastLine}` : "";
  process.stdout.write(`${exitCode === 0 ? "✓" : "✗"} ${step.name.padEnd(8)}${time}${said}\n`);
  if (exitCode !== 0) process.stdout.write(`${output.trimEnd()}\n`);
  return exitCode === 0;
}

function readArguments(): { readonly chosen: readonly Step[]; readonly isFix: boolean } {
  const all = [...STEPS, TESTS];
  const usage = `Usage: bun run check [STEP...] [--fix] [--no-tests]\nSteps: ${all.map(({ name }) => name).join(", ")}`;
  try {
    const { values, positionals } = parseArgs({
      options: { fix: { type: "boolean", default: false }, tests: { type: "boolean", default: true } },
      allowPositionals: true,
      allowNegative: true,
    });
    const unknown = positionals.find((name) => !all.some((step) => step.name === name));
    if (unknown !== undefined) giveUp(`Unknown step "${unknown}"\n${usage}`, 2);
    const asked = positionals.length > 0 ? all.filter(({ name }) => positionals.includes(name)) : all;
    return { chosen: values.tests ? asked : asked.filter((step) => step !== TESTS), isFix: values.fix };
  } catch (error) {
    return giveUp(`${error instanceof Error ? error.message : String(error)}\n${usage}`, 2);
  }
}

function tool(path: string): string {
  return inProject(`node_modules/${path}`);
}

function isFolder(path: string): boolean {
  try {
    return readdirSync(inProject(path)).length > 0;
  } catch {
    return false;
  }
}

/** Names the native linter for type-aware rules: the way oxlint finds it by itself needs Node on PATH. */
function typeAwareLinter(): Record<string, string> {
  const name = `${process.platform === "win32" ? "win32" : process.platform}-${process.arch}`;
  const executable = process.platform === "win32" ? "tsgolint.exe" : "tsgolint";
  return { OXLINT_TSGOLINT_PATH: tool(`@oxlint-tsgolint/${name}/${executable}`) };
}
