// The commands that look after the machine and the program: cache, doctor, completions, version.

import type { CommandSpec } from "../grammar/command.ts";

const CACHE_LS: CommandSpec = {
  name: "cache ls",
  summary: "List cached results, most recently used first",
  detail: ["Each line is one task's result: when it was last used, how long it took to make, and how much it holds."],
  positionals: [],
  flags: { limit: { kind: "integer", short: "n", value: "N", brief: "show at most N results (50 when not given)" } },
  examples: [{ command: "mesh cache ls", meaning: "the latest fifty" }],
  load: () => import("../commands/cache-ls.ts"),
};

const CACHE_STATS: CommandSpec = {
  name: "cache stats",
  summary: "Show what the cache holds and how much room it takes",
  detail: ["Counts results, layers and blobs, with their bytes on disk."],
  positionals: [],
  flags: {},
  defaultOfGroup: true,
  examples: [{ command: "mesh cache stats --json", meaning: "for monitoring" }],
  load: () => import("../commands/cache-stats.ts"),
};

const CACHE_PRUNE: CommandSpec = {
  name: "cache prune",
  summary: "Remove what was not used for longest",
  detail: [
    "Never takes what a run in progress needs. Without --to and --older-than only what nothing needs any more goes.",
  ],
  positionals: [],
  flags: {
    to: { kind: "text", value: "SIZE", brief: "keep at most this much: 0, 500mb, 20gb" },
    "older-than": { kind: "text", value: "TIME", brief: "remove what was not used for so long: 12h, 30d" },
    corrupt: { kind: "switch", brief: "verify everything and drop what cannot be trusted" },
    "dry-run": { kind: "switch", brief: "only say what would be removed" },
  },
  examples: [
    { command: "mesh cache prune --to 10gb", meaning: "keep the 10 GiB used most recently" },
    { command: "mesh cache prune --older-than 30d --dry-run", meaning: "say what would go, and remove nothing" },
  ],
  load: () => import("../commands/cache-prune.ts"),
};

const CACHE_LIMIT: CommandSpec = {
  name: "cache limit",
  summary: "Show or set how large the cache may grow",
  detail: [
    "Runs remove what was not used for longest when there is more. Without a SIZE the limit is shown; as long as nobody has set one, it is a tenth of the disk.",
  ],
  positionals: [{ name: "SIZE", brief: "500mb, 20gb, or none", optional: true }],
  flags: {},
  examples: [{ command: "mesh cache limit 20gb", meaning: "keep it below 20 GiB" }],
  load: () => import("../commands/cache-limit.ts"),
};

const CACHE_VERIFY: CommandSpec = {
  name: "cache verify",
  summary: "Read everything in the cache and compare it with its hashes",
  detail: [
    "Says what is damaged and drops it, so that the tasks that made it run again. Exits with 5 when there was anything.",
  ],
  positionals: [],
  flags: {},
  examples: [{ command: "mesh cache verify", meaning: "after a power cut or a failing disk" }],
  load: () => import("../commands/cache-verify.ts"),
};

const DOCTOR: CommandSpec = {
  name: "doctor",
  summary: "Say what this machine can do, what is missing and how to get it",
  detail: [
    "Tries everything that contexts need: namespaces, overlay filesystems, limits, id ranges, network helpers.",
    "Exits with 3 when tasks cannot be isolated here, with 0 otherwise.",
  ],
  positionals: [],
  flags: {},
  examples: [
    { command: "mesh doctor", meaning: "a table with a remedy for each thing that is missing" },
    { command: "mesh doctor --json", meaning: "for scripts" },
  ],
  load: () => import("../commands/doctor.ts"),
};

const COMPLETIONS: CommandSpec = {
  name: "completions",
  summary: "Print the completion script of a shell",
  detail: ["Load it from the shell's start-up file, or put it where the shell looks for completions."],
  positionals: [{ name: "SHELL", brief: "bash, zsh or fish", choices: ["bash", "zsh", "fish"] }],
  flags: {},
  examples: [
    { command: "mesh completions bash > ~/.local/share/bash-completion/completions/mesh", meaning: "bash" },
    { command: "mesh completions zsh > ~/.zfunc/_mesh", meaning: "zsh, with ~/.zfunc in $fpath" },
    { command: "mesh completions fish > ~/.config/fish/completions/mesh.fish", meaning: "fish" },
  ],
  load: () => import("../commands/completions.ts"),
};

const VERSION: CommandSpec = {
  name: "version",
  summary: "Print the version",
  detail: ["The same as `mesh --version`; with --json also the commit, the runtime and the platform."],
  positionals: [],
  flags: {},
  examples: [{ command: "mesh version --json", meaning: "for a bug report" }],
  load: () => import("../commands/version.ts"),
};

export const CACHE: readonly CommandSpec[] = [CACHE_STATS, CACHE_LS, CACHE_PRUNE, CACHE_LIMIT, CACHE_VERIFY];
export const CARING: readonly CommandSpec[] = [DOCTOR, COMPLETIONS, VERSION];
