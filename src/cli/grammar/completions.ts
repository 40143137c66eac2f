// Completion scripts for bash, zsh and fish, made from the command table. Runs and tasks are asked for from `mesh` itself,
// when the reader presses the key, in a form that needs no other program.

import { COMMON_FLAGS, type CommandSpec, type Completion, type FlagSpec, type Program, commandsOf } from "./command.ts";

export type Shell = "bash" | "zsh" | "fish";

/** The script for a shell, ready to be loaded by it. */
export function completionScript(program: Program, shell: Shell): string {
  switch (shell) {
    case "bash":
      return bashScript(program);
    case "zsh":
      return zshScript(program);
    case "fish":
      return fishScript(program);
  }
}

const LIST_RUNS = `mesh runs list --json 2>/dev/null | grep -o '"id":"[0-9a-z]\\{18\\}"' | cut -d'"' -f4`;
const LIST_TASKS = `mesh results --json 2>/dev/null | grep -o '"key":"[A-Za-z0-9_.-]*"' | cut -d'"' -f4 | sort -u`;
const LIST_NODES = `mesh nodes --json 2>/dev/null | grep -o '"name":"[A-Za-z0-9_.-]*"' | cut -d'"' -f4`;

/** What `mesh` itself lists. */
const LISTS: readonly (readonly [Completion, string])[] = [
  ["run", LIST_RUNS],
  ["task", LIST_TASKS],
  ["node", LIST_NODES],
];

/** First words, each with what may follow it. */
function firstWords(program: Program): ReadonlyMap<string, readonly CommandSpec[]> {
  const words = new Map<string, CommandSpec[]>();
  for (const command of commandsOf(program)) {
    const first = command.name.split(" ")[0] ?? "";
    words.set(first, [...(words.get(first) ?? []), command]);
  }
  return words;
}

function flagsOf(command: CommandSpec): readonly (readonly [string, FlagSpec])[] {
  return Object.entries({ ...command.flags, ...COMMON_FLAGS });
}

/** What a position of the command line offers: all kinds that its positionals ask for, and fixed words. */
function offers(command: CommandSpec): { readonly kinds: readonly Completion[]; readonly words: readonly string[] } {
  const kinds = new Set(command.positionals.flatMap(({ completes }) => (completes === undefined ? [] : [completes])));
  return { kinds: [...kinds].sort(), words: command.positionals.flatMap(({ choices }) => choices ?? []) };
}

function bashScript(program: Program): string {
  const groups = firstWords(program);
  const cases: string[] = [];
  for (const command of commandsOf(program)) {
    const flags = flagsOf(command).flatMap(([name, flag]) =>
      flag.short === undefined ? [`--${name}`] : [`--${name}`, `-${flag.short}`],
    );
    const valued = flagsOf(command)
      .filter(([, flag]) => flag.kind !== "switch")
      .map(
        ([name, flag]) =>
          `      ${[`--${name}`, ...(flag.short === undefined ? [] : [`-${flag.short}`])].join("|")}) ${bashOffer(flag.completes, flag.choices ?? [])} ;;`,
      );
    const { kinds, words } = offers(command);
    const positional = [
      ...words.map((word) => `words+=" ${word}"`),
      ...LISTS.filter(([kind]) => kinds.includes(kind)).map(([, list]) => `words+=" $(${list})"`),
    ];
    const files = kinds.includes("file")
      ? [`COMPREPLY=($(compgen -f -- "$cur"))`]
      : kinds.includes("directory")
        ? [`COMPREPLY=($(compgen -d -- "$cur"))`]
        : [];
    const patterns = command.defaultOfGroup
      ? `"${command.name}"|"${command.name.split(" ")[0] ?? ""}"`
      : `"${command.name}"`;
    cases.push(
      [
        `    ${patterns})`,
        ...(valued.length > 0 ? [`      case "$prev" in`, ...valued.map((line) => `  ${line}`), "      esac"] : []),
        `      if [[ $cur == -* ]]; then words="${flags.join(" ")}"; else`,
        ...(positional.length > 0 ? positional.map((line) => `        ${line}`) : ["        :"]),
        ...files.map((line) => `        ${line}`),
        "      fi ;;",
      ].join("\n"),
    );
  }
  const seconds = [...groups]
    .map(
      ([first, commands]) =>
        [
          first,
          commands.filter((command) => command.name.includes(" ")).map((command) => command.name.split(" ")[1] ?? ""),
        ] as const,
    )
    .filter(([, names]) => names.length > 0);
  return `# Completions of mesh for bash.
_mesh() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words="" command=\${COMP_WORDS[1]}
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W "${[...groups.keys()].join(" ")} help --help --version" -- "$cur"))
    return
  fi
  case "$command" in
${seconds
  .map(
    ([first, names]) => `    ${first})
      if [[ $COMP_CWORD -eq 2 && $cur != -* ]]; then COMPREPLY=($(compgen -W "${names.join(" ")}" -- "$cur")); return; fi
      case "\${COMP_WORDS[2]}" in ${names.join("|")}) command="$command \${COMP_WORDS[2]}" ;; esac ;;`,
  )
  .join("\n")}
  esac
  case "$command" in
${cases.join("\n")}
    help) words="${[...groups.keys()].join(" ")}" ;;
  esac
  COMPREPLY+=($(compgen -W "$words" -- "$cur"))
}
complete -F _mesh mesh
`;
}

function bashOffer(completes: Completion | undefined, choices: readonly string[]): string {
  if (choices.length > 0) return `COMPREPLY=($(compgen -W "${choices.join(" ")}" -- "$cur")); return`;
  switch (completes) {
    case "file":
      return 'COMPREPLY=($(compgen -f -- "$cur")); return';
    case "directory":
      return 'COMPREPLY=($(compgen -d -- "$cur")); return';
    case "run":
      return `COMPREPLY=($(compgen -W "$(${LIST_RUNS})" -- "$cur")); return`;
    case "task":
      return `COMPREPLY=($(compgen -W "$(${LIST_TASKS})" -- "$cur")); return`;
    case "node":
      return `COMPREPLY=($(compgen -W "$(${LIST_NODES})" -- "$cur")); return`;
    case undefined:
      return "return";
  }
}

function zshScript(program: Program): string {
  const groups = firstWords(program);
  const described = (name: string, text: string) => `'${name}:${zshText(text)}'`;
  const firstList = [...groups].map(([first, commands]) => {
    const own = commands.find((command) => command.name === first);
    return described(first, own?.summary ?? commands.map((command) => command.name.split(" ")[1]).join(", "));
  });
  const cases: string[] = [];
  for (const [first, commands] of groups) {
    const own = commands.find((command) => command.name === first);
    if (own) cases.push(`    ${first}) _arguments -s ${zshArguments(own)} ;;`);
    else {
      const names = commands.map((command) => described(command.name.split(" ")[1] ?? "", command.summary));
      const inner = commands.map(
        (command) =>
          `        ${command.name.split(" ")[1] ?? ""}) shift words; (( CURRENT-- )); _arguments -s ${zshArguments(command)} ;;`,
      );
      cases.push(
        [
          `    ${first})`,
          `      if (( CURRENT == 2 )); then local -a subcommands=(${names.join(" ")}); _describe command subcommands; return; fi`,
          `      case $words[2] in`,
          ...inner,
          "      esac ;;",
        ].join("\n"),
      );
    }
  }
  return `#compdef mesh
# Completions of mesh for zsh.
_mesh_runs() { local -a runs=(\${(f)"$(${LIST_RUNS})"}); compadd -a runs }
_mesh_tasks() { local -a tasks=(\${(f)"$(${LIST_TASKS})"}); compadd -a tasks }
_mesh_nodes() { local -a nodes=(\${(f)"$(${LIST_NODES})"}); compadd -a nodes }
_mesh_targets() { _mesh_runs; _mesh_tasks }
_mesh() {
  if (( CURRENT == 2 )); then
    local -a commands=(${firstList.join(" ")} 'help:Show how a command is used')
    _describe command commands
    return
  fi
  shift words; (( CURRENT-- ))
  case $words[1] in
${cases.join("\n")}
  esac
}
if [[ $funcstack[1] == _mesh ]]; then _mesh "$@"; else compdef _mesh mesh; fi
`;
}

function zshArguments(command: CommandSpec): string {
  const flags = flagsOf(command).map(([name, flag]) => {
    const star = flag.repeats ? "'*'" : "";
    const names = flag.short === undefined ? `--${name}` : `{-${flag.short},--${name}}`;
    const value =
      flag.kind === "switch"
        ? ""
        : `:${zshText(flag.value ?? name)}:${zshAction(flag.completes === undefined ? [] : [flag.completes], flag.choices ?? [])}`;
    return `${star}${names}'[${zshText(flag.brief)}]${value}'`;
  });
  const { kinds, words } = offers(command);
  const rest =
    command.positionals.length === 0
      ? []
      : [`'*:${zshText(command.positionals.map(({ name }) => name).join(" or "))}:${zshAction(kinds, words)}'`];
  return [...flags, ...rest].join(" ");
}

function zshAction(kinds: readonly Completion[], choices: readonly string[]): string {
  if (choices.length > 0) return `(${choices.join(" ")})`;
  if (kinds.includes("run") && kinds.includes("task")) return "_mesh_targets";
  if (kinds.includes("task")) return "_mesh_tasks";
  if (kinds.includes("node")) return "_mesh_nodes";
  if (kinds.includes("file")) return "_files";
  if (kinds.includes("directory")) return "_files -/";
  return kinds.includes("run") ? "_mesh_runs" : " ";
}

function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(":", "\\:").replaceAll("[", "\\[").replaceAll("]", "\\]");
}

function fishScript(program: Program): string {
  const lines = ["# Completions of mesh for fish.", "complete -c mesh -f"];
  const groups = firstWords(program);
  const firsts = [...groups.keys(), "help"];
  for (const [first, commands] of groups) {
    const own = commands.find((command) => command.name === first);
    lines.push(
      `complete -c mesh -n '__fish_is_first_token' -a ${first} -d ${fishText(own?.summary ?? commands.map((command) => command.name.split(" ")[1]).join(", "))}`,
    );
  }
  lines.push(
    `complete -c mesh -n '__fish_is_first_token' -a help -d 'Show how a command is used'`,
    `complete -c mesh -n '__fish_seen_subcommand_from help' -a '${firsts.join(" ")}'`,
  );
  for (const command of commandsOf(program)) {
    const [first = "", second] = command.name.split(" ");
    const siblings = (groups.get(first) ?? []).map((other) => other.name.split(" ")[1] ?? "").join(" ");
    const seen =
      second === undefined
        ? `__fish_seen_subcommand_from ${first}`
        : `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`;
    if (second !== undefined) {
      lines.push(
        `complete -c mesh -n '__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${siblings}' -a ${second} -d ${fishText(command.summary)}`,
      );
    }
    for (const [name, flag] of flagsOf(command)) {
      const offer = fishOffer(flag.completes === undefined ? [] : [flag.completes], flag.choices ?? []);
      // -x: a value and no files beside it
      const value = flag.kind === "switch" ? "" : `${offer.includes("-F") ? " -r" : " -x"}${offer}`;
      lines.push(
        `complete -c mesh -n '${seen}' -l ${name}${flag.short === undefined ? "" : ` -s ${flag.short}`}${value} -d ${fishText(flag.brief)}`,
      );
    }
    const { kinds, words } = offers(command);
    const offer = fishOffer(kinds, words);
    if (offer !== "") lines.push(`complete -c mesh -n '${seen}'${offer}`);
  }
  return `${lines.join("\n")}\n`;
}

function fishOffer(kinds: readonly Completion[], choices: readonly string[]): string {
  if (choices.length > 0) return ` -a '${choices.join(" ")}'`;
  const lists = LISTS.filter(([kind]) => kinds.includes(kind)).map(([, list]) => `(${list})`);
  const files = kinds.includes("file") || kinds.includes("directory") ? " -F" : "";
  return lists.length === 0 ? files : `${files} -a ${fishText(lists.join(" "))}`;
}

function fishText(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
