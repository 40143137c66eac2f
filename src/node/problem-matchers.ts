// The patterns of the built-in problem matchers: what compilers and linters print when they complain. Pure data.
// No pattern may cost more than a line's length times a constant: logs are written by those who are checked.

import type { ProblemMatcherName } from "../spec/problem-matchers.ts";

/** One way a tool prints a problem. Groups named file, line, column, severity, code and message say what they hold. */
export interface ProblemForm {
  /** One pattern a line; the lines follow one another. */
  readonly lines: readonly RegExp[];
  /** Index of the first line that may come again for the next problem, what stood before it being shared: a file's name. */
  readonly loopFrom?: number;
  /** Severity where no group gives one. */
  readonly severity: "error" | "warning";
  /** Drops what has another severity. */
  readonly only?: "error";
}

/** The forms of a tool's output. A problem that several of them match is the first one's. */
export type ProblemMatcher = readonly ProblemForm[];

const one = (line: RegExp, severity: ProblemForm["severity"] = "error"): ProblemForm => ({ lines: [line], severity });

const GCC =
  /^\s*(?<file>(?:[A-Za-z]:)?[^:\s][^:]*):(?<line>\d+):(?:(?<column>\d+):)? (?:fatal )?(?<severity>error|warning|note|style|performance|portability|information): (?<message>.+?)(?: {1,2}[[(](?<code>[\w.,=/+-]+)[\])])?$/;
const COLON_CODE = /^(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+):? (?<code>[A-Z]+\d+) (?:\[\*\] )?(?<message>.+)$/;
const RUSTC: ProblemForm = {
  severity: "error",
  lines: [
    /^(?<severity>error|warning)(?:\[(?<code>\w+)\])?: (?<message>.+)$/,
    /^ +--> (?<file>[^:]+):(?<line>\d+):(?<column>\d+)$/,
  ],
};
const STYLISH_ROW =
  /^ +(?<line>\d+):(?<column>\d+) +(?<severity>error|warning|info|[✖⚠×]) +(?<message>\S.*?)(?:(?<! ) {2,}(?<code>\S+))?$/;
const STYLISH: ProblemForm = { severity: "error", lines: [/^(?<file>[^\s].*\.\w+)$/, STYLISH_ROW], loopFrom: 1 };
const GO = one(
  /^(?:vet: )?\s*(?<file>[^:\s][^:]*\.go):(?<line>\d+):(?:(?<column>\d+):)? (?<message>.+?)(?: \((?<code>[\w-]+)\))?$/,
);
const LINE_COL = one(
  /^(?<file>[^:\s][^:]*): line (?<line>\d+), col (?<column>\d+),(?: (?<severity>Error|Warning|Info|error|warning|info) -)? (?<message>.+?)(?: \((?<code>[\w@/.-]+)\))?$/,
);
const RUBOCOP = one(
  /^\s*(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+): (?:(?<severity>[CWEFIR]): )?(?:\[Correctable\] )?(?:(?<code>[A-Z]\w*(?:\/\w+)+): )?(?<message>.+)$/,
  "warning",
);
const MSBUILD = one(
  /^\s*(?<file>[^\s(][^(]*)\((?<line>\d+)(?:,(?<column>\d+))?\)\s?: (?:fatal )?(?<severity>error|warning|info) (?<code>[A-Z]+\d+): (?<message>.+?)(?: \[[^\][]+\])?$/,
);
const BULLETS = /^ *(?<severity>error|warning|info|hint) (?<bullet>[•-]) /.source;

/** By the names that definitions use. */
export const PROBLEM_MATCHERS: Readonly<Record<ProblemMatcherName, ProblemMatcher>> = {
  actionlint: [one(/^(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+): (?<message>.+?)(?: \[(?<code>[\w-]+)\])?$/)],
  biome: [
    {
      severity: "error",
      lines: [
        /^(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+) (?<code>[\w/]+)(?: .*)?$/,
        /^$/,
        /^ +(?<severity>[×✖!i]) (?<message>.+)$/,
      ],
    },
  ],
  black: [one(/^(?<message>would reformat) (?<file>.+)$/)],
  brakeman: [
    {
      severity: "warning",
      lines: [
        /^Check: (?<code>\w+)$/,
        /^Message: (?<message>.+)$/,
        /^Code: /,
        /^File: (?<file>.+)$/,
        /^Line: (?<line>\d+)$/,
      ],
    },
  ],
  cargo: [RUSTC],
  checkstyle: [
    one(
      /^\[(?<severity>ERROR|WARN|INFO)\] (?<file>(?:[A-Za-z]:)?[^:]+):(?<line>\d+):(?:(?<column>\d+):)? (?<message>.+?)(?: \[(?<code>\w+)\])?$/,
    ),
  ],
  clang: [one(GCC)],
  "clang-tidy": [one(GCC)],
  clippy: [RUSTC],
  cppcheck: [one(GCC), one(/^\[(?<file>[^\]:]+):(?<line>\d+)\]: \((?<severity>\w+)\) (?<message>.+)$/)],
  credo: [
    {
      severity: "warning",
      lines: [
        /^┃ \[(?<code>[A-Z])\] \S+ (?<message>.+)$/,
        /^┃ +(?<file>[^:\s][^:]*):(?<line>\d+)(?::(?<column>\d+))?(?: .*)?$/,
      ],
    },
    one(/^\[(?<code>[A-Z])\] \S+ (?<file>[^:\s]+):(?<line>\d+)(?::(?<column>\d+))? (?<message>.+)$/, "warning"),
  ],
  dart: [
    one(
      new RegExp(
        `${BULLETS}(?<file>[^:•]+):(?<line>\\d+):(?<column>\\d+) \\k<bullet> (?<message>.+) \\k<bullet> (?<code>\\w+)$`,
      ),
    ),
    one(
      new RegExp(
        `${BULLETS}(?<message>.+) \\k<bullet> (?<file>[^:•]+):(?<line>\\d+):(?<column>\\d+) \\k<bullet> (?<code>\\w+)$`,
      ),
    ),
  ],
  detekt: [
    one(/^(?<file>[^:\s][^:]*\.kts?):(?<line>\d+):(?<column>\d+): (?<message>.+) \[(?<code>\w+)\]$/),
    one(/^\s+(?<code>\w+) - (?<message>.+) at (?<file>[^:\s]+):(?<line>\d+):(?<column>\d+)$/),
  ],
  "erb-lint": [{ severity: "error", lines: [/^(?<message>\S.*)$/, /^In file: (?<file>[^:]+):(?<line>\d+)$/] }],
  eslint: [STYLISH, LINE_COL],
  "eslint-compact": [LINE_COL],
  "eslint-only-errors": [{ ...STYLISH, only: "error" }],
  "eslint-stylish": [STYLISH],
  flake8: [one(COLON_CODE)],
  gcc: [one(GCC)],
  go: [GO],
  "golangci-lint": [GO],
  hadolint: [
    one(
      /^(?<file>[^:\s][^:]*):(?<line>\d+) (?<code>(?:DL|SC)\d+) (?:(?<severity>error|warning|info|style): )?(?<message>.+)$/,
    ),
  ],
  htmlhint: [
    {
      severity: "error",
      lines: [/^ {3}(?<file>\S.*)$/, /^ {6}L(?<line>\d+) \|/, /^ +\^ (?<message>\S.*?)(?: \((?<code>[\w-]+)\))?$/],
      loopFrom: 1,
    },
  ],
  javac: [one(/^(?<file>[^:\s][^:]*\.java):(?<line>\d+): (?<severity>error|warning): (?<message>.+)$/)],
  jshint: [LINE_COL],
  kotlinc: [
    one(
      /^(?<severity>[ewi]): (?:file:\/\/)?(?<file>[^:\s]+)(?::(?<line>\d+):(?<column>\d+):?|: \((?<atLine>\d+), (?<atColumn>\d+)\):) (?<message>.+)$/,
    ),
  ],
  ktlint: [one(/^(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+): (?<message>.+?)(?: \((?<code>[\w:-]+)\))?$/)],
  luacheck: [
    one(
      /^\s*(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+)(?:-\d+)?: (?:\((?<severity>[EW])(?<code>\d+)\) )?(?<message>.+)$/,
      "warning",
    ),
  ],
  markdownlint: [
    one(
      /^(?<file>[^:\s][^:]*):(?<line>\d+)(?::(?<column>\d+))? (?:(?<severity>error|warning) )?(?<code>MD\d+)\/\S+ (?<message>.+)$/,
    ),
  ],
  maven: [one(/^\[(?<severity>ERROR|WARNING)\] (?<file>[^:\s]+):\[(?<line>\d+),(?<column>\d+)\] (?<message>.+)$/)],
  msvc: [MSBUILD],
  mypy: [one(GCC)],
  oxlint: [
    {
      severity: "error",
      lines: [
        /^ +(?<severity>[x×!⚠]) (?<code>[\w@/-]+\([\w@/-]+\)): (?<message>.+)$/,
        /^ +[,╭][-─]\[(?<file>[^:\]]+):(?<line>\d+):(?<column>\d+)\]$/,
      ],
    },
    one(
      /^(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+): (?<message>.+) \[(?<severity>Error|Warning)\/(?<code>[^\]]+)\]$/,
    ),
  ],
  php_codesniffer: [
    {
      severity: "error",
      lines: [
        /^FILE: (?<file>.+)$/,
        /^-+$/,
        /^FOUND /,
        /^-+$/,
        /^ +(?<line>\d+) \| (?<severity>ERROR|WARNING) +\|(?: \[[ x]\])? (?<message>.+)$/,
      ],
      loopFrom: 4,
    },
    one(/^(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+): (?<severity>error|warning) - (?<message>.+)$/),
  ],
  phpstan: [one(/^(?<file>[^:\s][^:]*\.php):(?<line>\d+):(?<message>.+)$/)],
  prettier: [
    one(/^\[(?<severity>warn|error)\] (?<file>\S*[^\s.]\.\w+)(?:: (?<message>.+?) \((?<line>\d+):(?<column>\d+)\))?$/),
  ],
  psalm: [
    one(
      /^(?<severity>ERROR|INFO): (?<code>\w+) - (?<file>[^:\s]+):(?<line>\d+):(?<column>\d+) - (?<message>.+?)(?: \(see [^)]+\))?$/,
    ),
  ],
  pycodestyle: [one(COLON_CODE)],
  pylint: [
    one(
      /^(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+): (?<code>(?<severity>[CRWEFI])\d+): (?<message>.+)$/,
      "warning",
    ),
  ],
  pyright: [
    one(
      /^\s*(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+) - (?<severity>error|warning|information): (?<message>.+?)(?: \((?<code>report\w+)\))?$/,
    ),
  ],
  pytest: [
    {
      severity: "error",
      lines: [/^E +(?<message>.+)$/, /^$/, /^(?<file>[^:\s][^:]*\.py):(?<line>\d+): (?<code>\w+)$/],
    },
    { severity: "error", lines: [/^(?:ERROR|FAILED) (?<file>[^:\s]+)(?:::\S+)? - (?<message>.+)$/] },
  ],
  roslyn: [MSBUILD],
  rubocop: [RUBOCOP],
  ruff: [
    one(COLON_CODE),
    {
      severity: "error",
      lines: [
        /^(?<code>[A-Z]+\d+|[\w-]+:) (?:\[\*\] )?(?<message>.+)$/,
        /^ +--> (?<file>[^:]+):(?<line>\d+):(?<column>\d+)$/,
      ],
    },
  ],
  rustc: [RUSTC],
  rustfmt: [one(/^(?<message>Diff) in (?<file>[^:\s]+)(?: at line |:)(?<line>\d+):$/)],
  shellcheck: [
    {
      severity: "error",
      lines: [
        /^In (?<file>.+) line (?<line>\d+):$/,
        /^/,
        /^ *\^-*[-^] (?<code>SC\d+) \((?<severity>error|warning|info|style)\): (?<message>.+)$/,
      ],
      loopFrom: 2,
    },
    one(GCC),
  ],
  standardrb: [RUBOCOP],
  staticcheck: [GO],
  stylelint: [STYLISH],
  swiftlint: [one(GCC)],
  terraform: [
    {
      severity: "error",
      lines: [
        /^[│ ]*(?<severity>Error|Warning): (?<message>.+)$/,
        /^[│ ]*$/,
        /^[│ ]*on (?<file>.+) line (?<line>\d+)(?:,.*)?:?$/,
      ],
    },
  ],
  tsc: [
    one(
      /^(?<file>[^\s(][^(]*)\((?<line>\d+),(?<column>\d+)\): (?<severity>error|warning) (?<code>TS\d+): (?<message>.+)$/,
    ),
    one(
      /^(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+) - (?<severity>error|warning) (?<code>TS\d+): (?<message>.+)$/,
    ),
  ],
  yamllint: [
    one(
      /^(?<file>[^:\s][^:]*):(?<line>\d+):(?<column>\d+): \[(?<severity>error|warning)\] (?<message>.+?)(?: \((?<code>[\w-]+)\))?$/,
    ),
    {
      severity: "error",
      lines: [
        /^(?<file>[^\s].*)$/,
        /^ +(?<line>\d+):(?<column>\d+) +(?<severity>error|warning) +(?<message>.+?)(?: {2}\((?<code>[\w-]+)\))?$/,
      ],
      loopFrom: 1,
    },
  ],
};
