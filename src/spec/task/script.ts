// `run`: a script, and what can be said about it without running it: could it write this value, could it make this artifact?

import type { Template } from "../definition.ts";
import { joinTemplates } from "../expression/template.ts";
import { fault, isNull, itemsOf, readTemplate, type Reading } from "../reading.ts";
import type { Node } from "../yaml.ts";

/** Reads a script: text, or a list of lines. Null, and a fault, when it is empty. */
export function readScript(reading: Reading, node: Node, what: string): Template | null {
  const lines = node.kind === "list" ? itemsOf(reading, node, what) : [node];
  const templates: Template[] = [];
  for (const line of lines) {
    if (isNull(line)) continue;
    const template = readTemplate(reading, line, what);
    if (template === null) return null;
    templates.push(template);
  }
  const script = joinTemplates(templates, "\n");
  if (typeof script !== "string" || script.trim() !== "") return script;
  fault(reading, "missing-key", node, `${what} holds no command`, "Give it a script, or leave the task out.");
  return null;
}

export type Written = "values" | "artifacts";

/** "declared by name", "perhaps" when a name is computed or another program may do it, "no" when nothing could. */
export type Possibility = "yes" | "perhaps" | "no";

/** Whether a script could write the value, or make the artifact, of this name. */
export function couldWrite(script: Template, written: Written, name: string): Possibility {
  const text = textForReading(script);
  const { names, computed } = mentions(text, written);
  if (names.has(name) || computed) return "yes";
  if (mayRunOwnCode(text)) return "perhaps";
  return "no";
}

/** The names a script plainly writes to: for "did you mean". */
export function plainlyWritten(script: Template, written: Written): readonly string[] {
  return [...mentions(textForReading(script), written).names];
}

/** What stands for an expression in the text that is looked at: it could be anything. */
const HOLE = "\u0001";

function textForReading(script: Template): string {
  if (typeof script === "string") return script;
  return script.pieces.map((piece) => (typeof piece === "string" ? piece : HOLE)).join("");
}

function mentions(text: string, written: Written): { readonly names: ReadonlySet<string>; readonly computed: boolean } {
  const variable = written === "values" ? /(?:MESH|RWX|MINT)_VALUES\b/g : /(?:MESH|RWX|MINT)_ARTIFACTS\b/g;
  const names = new Set<string>();
  let computed = false;
  for (let found = variable.exec(text); found; found = variable.exec(text)) {
    const name = isOpenQuote(text, found.index)
      ? nameToQuote(text, variable.lastIndex)
      : nameAfter(text, variable.lastIndex);
    if (name === null) computed = true;
    else names.add(name);
  }
  return { names, computed };
}

/** The literal name in `$RWX_VALUES/name`, `"${RWX_VALUES}"/name`, ...; null when it is not one plain word. */
function nameAfter(text: string, at: number): string | null {
  const rest = text.slice(at, at + 300);
  const found = /^\}?["']?\/(["']?)([A-Za-z0-9_.-]+)\1(?=["'\s;|&)<>]|$)/.exec(rest);
  return found?.[2] ?? null;
}

/** Whether a double quote is open at a place, as far as its line tells. */
function isOpenQuote(text: string, at: number): boolean {
  const line = text.slice(text.lastIndexOf("\n", at) + 1, at);
  return (line.replace(/\\./g, "").match(/"/g)?.length ?? 0) % 2 === 1;
}

/** The literal name in `"$RWX_VALUES/a name"`, up to the closing quote; null when it is not one plain name. */
function nameToQuote(text: string, at: number): string | null {
  const rest = text.slice(at, at + 300);
  // the quote may be closed before the name: "$RWX_VALUES"/name
  if (/^\}?"/.test(rest)) return nameAfter(text, at);
  const name = /^\}?\/([^"$`\\/*?{}\n]+)"(?=[\s;|&)<>]|$)/.exec(rest)?.[1] ?? null;
  return name?.includes(HOLE) === true ? null : name;
}

/** Commands that write nowhere but where their arguments say. All else may be, or start, the user's own program. */
const KNOWN_COMMANDS = new Set(
  (
    "[ [[ ]] : . apk apt apt-get awk base64 basename break bzip2 case cat cd chgrp chmod chown clear continue cp curl cut date " +
    "declare df diff dirname do done dpkg du echo elif else esac exec exit export expr false fi file find flock for function getent git grep " +
    "groups gunzip gzip head hostname id if in install jq kill link ln local locale ls md5sum mkdir mktemp mv nproc numfmt od paste " +
    "printf ps pwd read readlink readonly realpath return rm rmdir rsync sed select seq set sha1sum sha256sum sha512sum shift shopt " +
    "shred sleep sort split stat strings stty sudo sync tac tail tar tee test then time timeout touch tr true truncate tty type " +
    "ulimit umask uname unset until unxz unzip uptime wait wc wget which while whoami xxd xz yes zip { } ( ) !"
  ).split(" "),
);

/** Words after which the next word is a command again. */
const PREFIXES = new Set([
  "sudo",
  "do",
  "then",
  "else",
  "elif",
  "if",
  "while",
  "until",
  "time",
  "!",
  "{",
  "(",
  "export",
  "local",
  "declare",
  "readonly",
  "exec",
  "timeout",
]);

/**
 * True unless every command of the script is a known one. Coarse on purpose: what it cannot read (quotes around commands,
 * here-documents, functions, `find -exec`) counts as the user's own code, so that a "no" can be relied on.
 */
function mayRunOwnCode(text: string): boolean {
  const joined = text.replace(/\\\r?\n/g, " ").replace(/(^|[\s;(])#[^\n]*/g, "$1");
  if (/<<|-exec|-execdir|xargs|\beval\b|\bsource\b|`|(^|[\s;&|(])\.\s/.test(joined)) return true;
  const bare = joined.replace(/'[^']*'/g, "''").replace(/"(?:[^"\\$]|\\.|\$(?!\())*"/g, '""');
  if (/["'][^"'\n]*\n/.test(bare) && bare.includes("$(")) return true;
  for (const command of bare.split(/\n|;|&&|\|\||\||&(?![>&\d])|\$\(|<\(|>\(/)) {
    if (!isKnown(command)) return true;
  }
  return false;
}

function isKnown(command: string): boolean {
  const words = command
    .trim()
    .split(/\s+/)
    .filter((word) => word !== "");
  for (const [index, word] of words.entries()) {
    if (/^[A-Za-z_]\w*\+?=/.test(word) || word === ")" || word === "fi" || word === "done" || word === "esac") continue;
    if (/^(\d*[<>]|&>)/.test(word)) continue;
    if (word.startsWith("-") && index > 0) continue;
    const name = word.replace(/[()]+$/, "").replace(/^\(+/, "");
    if (name === "") continue;
    if (!KNOWN_COMMANDS.has(name)) return false;
    if (!PREFIXES.has(name)) return true;
  }
  return true;
}
