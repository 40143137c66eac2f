// From argv to a command and its arguments. Every misuse is a `usage.invalid` error that names the word and, where one is
// near, the word that was meant. It never reads anything but argv.

import { MeshError } from "../../base/errors.ts";
import { nearest, printable, sentenceList } from "../../base/text.ts";
import { Arguments } from "./arguments.ts";
import { COMMON_FLAGS, type CommandSpec, type FlagSpec, type Program, commandsOf, positionalsText } from "./command.ts";

export type Invocation =
  | { readonly kind: "command"; readonly spec: CommandSpec; readonly args: Arguments }
  | { readonly kind: "help"; readonly about: CommandSpec | GroupName | null }
  | { readonly kind: "version" };

/** The first word of commands with two: "cache". */
export interface GroupName {
  readonly group: string;
}

/** Reads the words after the program's name. Throws `usage.invalid`. */
export function parseInvocation(program: Program, argv: readonly string[]): Invocation {
  const first = argv[0];
  if (first === undefined || first === "--help" || first === "-h") return { kind: "help", about: null };
  if (first === "--version" || first === "-V") return { kind: "version" };
  if (first === "help") return { kind: "help", about: topicOf(program, argv.slice(1)) };
  if (first.startsWith("-") && first !== "-") {
    throw usage(
      null,
      `Cannot start with ${quote(first)}: the command comes first`,
      "For example: `mesh run --target build`.",
    );
  }
  const { spec, rest } = resolveCommand(program, argv);
  if (!("name" in spec)) return { kind: "help", about: spec };
  const args = parseArguments(spec, rest);
  return args.on("help") ? { kind: "help", about: spec } : { kind: "command", spec, args };
}

/** Whether errors are to be JSON, decided before the line is known to be right. */
export function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? argv.length : end).includes("--json");
}

function topicOf(program: Program, words: readonly string[]): CommandSpec | GroupName | null {
  const named = words.filter((word) => !word.startsWith("-"));
  return named.length === 0 ? null : resolveCommand(program, named).spec;
}

function resolveCommand(
  program: Program,
  argv: readonly string[],
): { spec: CommandSpec | GroupName; rest: readonly string[] } {
  const commands = commandsOf(program);
  const [first = "", second] = argv;
  const exact = commands.find((command) => command.name === first);
  if (exact) return { spec: exact, rest: argv.slice(1) };
  const group = commands.filter((command) => command.name.startsWith(`${first} `));
  if (group.length === 0) {
    const names = new Set(commands.map((command) => command.name.split(" ")[0] ?? ""));
    throw usage(
      null,
      `Cannot run ${quote(`mesh ${first}`)}: there is no such command`,
      didYouMean("mesh ", first, names),
    );
  }
  const inGroup = group.find((command) => command.name === `${first} ${second ?? ""}`);
  if (inGroup) return { spec: inGroup, rest: argv.slice(2) };
  const byDefault = group.find((command) => command.defaultOfGroup);
  if (second === undefined || second.startsWith("-")) {
    return { spec: byDefault ?? { group: first }, rest: argv.slice(1) };
  }
  const names = group.map((command) => command.name.slice(first.length + 1));
  throw usage(
    null,
    `Cannot run ${quote(`mesh ${first} ${second}`)}: there is no such command`,
    didYouMean(`mesh ${first} `, second, names) ??
      `There are ${sentenceList(names.map((name) => `\`mesh ${first} ${name}\``))}.`,
  );
}

function parseArguments(spec: CommandSpec, argv: readonly string[]): Arguments {
  const flags: Readonly<Record<string, FlagSpec>> = { ...spec.flags, ...COMMON_FLAGS };
  const values = new Map<string, string[]>();
  const words: string[] = [];
  const take = (name: string, value: string) => {
    checkValue(spec, name, flags[name], value);
    const before = values.get(name);
    if (before) before.push(value);
    else values.set(name, [value]);
  };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (word === "--") {
      words.push(...argv.slice(at + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      words.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const written = equals === -1 ? word : word.slice(0, equals);
    const name = flagName(spec, flags, written);
    if (flags[name]?.kind === "switch") {
      if (equals !== -1) throw usage(spec, `Cannot give ${quote(written)} a value: it is a switch`, null);
      take(name, "");
    } else if (equals !== -1) {
      take(name, word.slice(equals + 1));
    } else {
      const value = argv[++at];
      if (value === undefined) {
        const shown = flags[name]?.value ?? "a value";
        throw usage(spec, `Cannot read ${quote(written)}: it needs ${shown} after it`, null);
      }
      take(name, value);
    }
  }
  if (!values.has("help")) checkWords(spec, words);
  return new Arguments(values, words, new Set(Object.keys(flags)));
}

function flagName(spec: CommandSpec, flags: Readonly<Record<string, FlagSpec>>, written: string): string {
  const long = written.startsWith("--") ? written.slice(2) : null;
  const found = long === null ? Object.keys(flags).find((name) => `-${flags[name]?.short ?? ""}` === written) : long;
  if (found !== undefined && Object.hasOwn(flags, found)) return found;
  const hint = long === null ? null : didYouMean("--", long, Object.keys(flags));
  throw usage(spec, `Cannot understand ${quote(written)}: ${quote(`mesh ${spec.name}`)} has no such flag`, hint);
}

function checkValue(spec: CommandSpec, name: string, flag: FlagSpec | undefined, value: string): void {
  if (flag?.kind === "integer" && !(/^\d{1,9}$/.test(value) && Number(value) > 0)) {
    throw usage(spec, `Cannot read --${name} ${quote(value)}: a whole number above 0 is expected`, null);
  }
  if (flag?.kind === "choice" && !(flag.choices ?? []).includes(value)) {
    const choices = sentenceList(flag.choices ?? [], "or");
    throw usage(spec, `Cannot read --${name} ${quote(value)}: ${choices} is expected`, null);
  }
}

function checkWords(spec: CommandSpec, words: readonly string[]): void {
  const least = spec.positionals.filter((positional) => !positional.optional).length;
  const most = spec.positionals.some((positional) => positional.repeats) ? Infinity : spec.positionals.length;
  if (words.length < least) {
    // with optional ones before it, the last name is the one that is always needed
    const missing = spec.positionals.filter((positional) => !positional.optional)[words.length];
    throw usage(
      spec,
      `Cannot run ${quote(`mesh ${spec.name}`)} without ${missing?.name ?? "more"}: ${missing?.brief ?? ""}`,
      null,
    );
  }
  if (words.length > most) {
    const extra = words[most] ?? "";
    throw usage(
      spec,
      `Cannot understand ${quote(extra)}: ${quote(`mesh ${spec.name} ${positionalsText(spec)}`.trim())} takes no more`,
      null,
    );
  }
  spec.positionals.forEach((positional, index) => {
    const word = words[index];
    if (word === undefined || !positional.choices || positional.choices.includes(word)) return;
    const choices = sentenceList(positional.choices, "or");
    throw usage(spec, `Cannot read ${quote(word)}: ${choices} is expected`, didYouMean("", word, positional.choices));
  });
}

function didYouMean(prefix: string, word: string, candidates: Iterable<string>): string | null {
  const near = nearest(word, candidates);
  return near === null ? null : `Did you mean \`${prefix}${near}\`?`;
}

function usage(spec: CommandSpec | null, message: string, hint: string | null): MeshError {
  const where = spec === null ? "`mesh help` lists the commands." : `\`mesh ${spec.name} --help\` shows all it takes.`;
  return new MeshError("usage.invalid", message, { hint: hint === null ? where : `${hint} ${where}` });
}

function quote(text: string): string {
  return `\`${printable(text)}\``;
}
