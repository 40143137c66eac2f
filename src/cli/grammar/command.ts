// What a command is, as data: its name, flags, positionals and examples. Parsing, help, completions and the reference are
// all made from it. It never runs anything: `load` brings the command's module in when the command is the one asked for.

import type { Arguments } from "./arguments.ts";

export interface FlagSpec {
  /** A switch takes no value; the others take one. */
  readonly kind: "switch" | "text" | "integer" | "choice";
  readonly brief: string;
  /** How the value is called in help: "KEY". */
  readonly value?: string;
  /** One letter. */
  readonly short?: string;
  /** Whether the flag may be given more than once; each adds a value. */
  readonly repeats?: true;
  readonly choices?: readonly string[];
  /** What a shell offers after the flag; nothing when absent. */
  readonly completes?: Completion;
}

export interface PositionalSpec {
  /** How it is called in help: "RUN". */
  readonly name: string;
  readonly brief: string;
  readonly optional?: true;
  /** Only for the last one. */
  readonly repeats?: true;
  readonly choices?: readonly string[];
  readonly completes?: Completion;
}

export type Completion = "file" | "directory" | "run" | "task" | "node";

export interface CommandSpec {
  /** One or two words: "run", "runs list". */
  readonly name: string;
  /** One line, no full stop. */
  readonly summary: string;
  /** What somebody who has never seen the command needs to know, in paragraphs. */
  readonly detail: readonly string[];
  readonly positionals: readonly PositionalSpec[];
  readonly flags: Readonly<Record<string, FlagSpec>>;
  readonly examples: readonly Example[];
  /** Whether the first word alone means this command ("runs" for "runs list"). */
  readonly defaultOfGroup?: true;
  readonly load: () => Promise<CommandModule<never>>;
}

export interface Example {
  readonly command: string;
  readonly meaning: string;
}

/** What a module under commands/ exports. `Context` is what the shell hands over. */
export interface CommandModule<Context> {
  readonly execute: (context: Context, args: Arguments) => Promise<number>;
}

export interface Program {
  readonly name: string;
  readonly summary: string;
  readonly groups: readonly { readonly title: string; readonly commands: readonly CommandSpec[] }[];
}

/** Flags that every command takes. */
export const COMMON_FLAGS: Readonly<Record<string, FlagSpec>> = {
  json: { kind: "switch", brief: "print JSON for programs instead of text" },
  help: { kind: "switch", short: "h", brief: "show this help" },
};

/** All commands, in the order of help. */
export function commandsOf(program: Program): readonly CommandSpec[] {
  return program.groups.flatMap((group) => group.commands);
}

/** "[RUN] TASK..." */
export function positionalsText(spec: CommandSpec): string {
  return spec.positionals
    .map((positional) => {
      const name = positional.repeats ? `${positional.name}...` : positional.name;
      return positional.optional ? `[${name}]` : name;
    })
    .join(" ");
}
