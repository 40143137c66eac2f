// Help texts, made from the command table. Lines only: who prints them and in which width is the caller's matter.

import { COMMON_FLAGS, type CommandSpec, type FlagSpec, type Program, commandsOf, positionalsText } from "./command.ts";
import type { GroupName } from "./parse.ts";
import type { Style } from "../text/style.ts";

/** Widest line of running text. */
const TEXT_WIDTH = 88;

/** Help of the program, of a group of commands or of one command, as a text that ends with a newline. */
export function helpText(program: Program, about: CommandSpec | GroupName | null, style: Style): string {
  if (about === null) return programHelp(program, style);
  return "group" in about ? groupHelp(program, about.group, style) : commandHelp(program, about, style);
}

/** "-t, --target KEY" */
export function flagText(name: string, flag: FlagSpec): string {
  const value = flag.kind === "switch" ? "" : ` ${flag.value ?? (flag.choices ?? ["VALUE"]).join("|")}`;
  return `${flag.short === undefined ? "" : `-${flag.short}, `}--${name}${value}`;
}

function programHelp(program: Program, style: Style): string {
  const lines = [program.summary, "", `${style.bold("Usage")}  ${program.name} COMMAND [FLAGS]`];
  const width = Math.max(...commandsOf(program).map((command) => command.name.length));
  for (const { title, commands } of program.groups) {
    lines.push("", style.bold(title), ...commands.map((command) => commandLine(command, width)));
  }
  lines.push(
    "",
    style.bold("Start here"),
    ...aligned(
      [
        [
          `${program.name} run tasks.yml`,
          "run the tasks of a definition; again, and what did not change comes from the cache",
        ],
        [`${program.name} doctor`, "see what this machine can do, and how to get what is missing"],
        [`${program.name} COMMAND --help`, "what a command takes, with examples"],
      ],
      style,
    ),
  );
  return `${lines.join("\n")}\n`;
}

function groupHelp(program: Program, group: string, style: Style): string {
  const commands = commandsOf(program).filter((command) => command.name.startsWith(`${group} `));
  const width = Math.max(...commands.map((command) => command.name.length));
  return `${[`${style.bold("Usage")}  ${program.name} ${group} COMMAND [FLAGS]`, "", ...commands.map((command) => commandLine(command, width))].join("\n")}\n`;
}

function commandHelp(program: Program, spec: CommandSpec, style: Style): string {
  const usage = [program.name, spec.name, positionalsText(spec), "[FLAGS]"].filter((part) => part !== "").join(" ");
  const lines = [
    `${spec.summary}.`,
    "",
    `${style.bold("Usage")}  ${usage}`,
    "",
    ...spec.detail.map((paragraph) => Bun.wrapAnsi(paragraph, TEXT_WIDTH)),
  ];
  if (spec.positionals.length > 0) {
    lines.push(
      "",
      style.bold("Arguments"),
      ...aligned(
        spec.positionals.map(({ name, brief }) => [name, brief]),
        style,
      ),
    );
  }
  const flags = Object.entries({ ...spec.flags, ...COMMON_FLAGS });
  lines.push(
    "",
    style.bold("Flags"),
    ...aligned(
      flags.map(([name, flag]) => [flagText(name, flag), flagBrief(flag)]),
      style,
    ),
  );
  lines.push("", style.bold("Examples"));
  for (const { command, meaning } of spec.examples) lines.push(`  ${style.dim(`# ${meaning}`)}`, `  ${command}`);
  return `${lines.join("\n")}\n`;
}

function commandLine(command: CommandSpec, width: number): string {
  return `  ${command.name.padEnd(width)}  ${command.summary}`;
}

function flagBrief(flag: FlagSpec): string {
  return flag.repeats ? `${flag.brief} (may be repeated)` : flag.brief;
}

function aligned(
  rows: readonly (readonly [left: string, right: string] | readonly string[])[],
  style: Style,
): string[] {
  const width = Math.min(30, Math.max(...rows.map(([left = ""]) => left.length)));
  return rows.map(([left = "", right = ""]) => `  ${left.padEnd(width)}  ${style.dim(right)}`.trimEnd());
}
