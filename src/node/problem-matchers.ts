// Problem matchers: patterns that find a compiler's or linter's complaints in a log. The schema is the one of GitHub's
// toolkit (docs/problem-matchers.md); the table holds those that run definitions name without shipping one.

/** One line of a matcher. Numbers are capture groups. */
export interface ProblemPattern {
  readonly regexp: RegExp;
  readonly file?: number;
  readonly line?: number;
  readonly column?: number;
  readonly severity?: number;
  readonly code?: number;
  readonly message?: number;
  /** The last pattern of a matcher may match again and again. */
  readonly loop?: boolean;
}

export interface ProblemMatcher {
  /** Severity where no group gives one. */
  readonly severity: "error" | "warning";
  readonly patterns: readonly ProblemPattern[];
}

const GCC: ProblemMatcher = {
  severity: "error",
  patterns: [
    {
      regexp: /^(.+?):(\d+):(?:(\d+):)?\s+(?:fatal\s+)?(error|warning|note):\s+(.+?)(?:\s+\[(-W[^\]]+)\])?$/,
      file: 1,
      line: 2,
      column: 3,
      severity: 4,
      message: 5,
      code: 6,
    },
  ],
};

const COLON_CODE: ProblemMatcher = {
  severity: "error",
  patterns: [{ regexp: /^(.+?):(\d+):(\d+):\s+([A-Z]+\d+)\s+(.+)$/, file: 1, line: 2, column: 3, code: 4, message: 5 }],
};

const COLON_PLAIN: ProblemMatcher = {
  severity: "error",
  patterns: [{ regexp: /^(.+?):(\d+):(\d+):\s+(.+)$/, file: 1, line: 2, column: 3, message: 4 }],
};

const ESLINT_STYLISH: ProblemMatcher = {
  severity: "error",
  patterns: [
    { regexp: /^((?:\/|[A-Za-z]:\\|\.{0,2}\/)?[^\s].*\.\w+)$/, file: 1 },
    {
      regexp: /^\s+(\d+):(\d+)\s+(error|warning)\s+(.+?)(?:\s{2,}(\S+))?$/,
      line: 1,
      column: 2,
      severity: 3,
      message: 4,
      code: 5,
      loop: true,
    },
  ],
};

const RUSTC: ProblemMatcher = {
  severity: "error",
  patterns: [
    { regexp: /^(error|warning)(?:\[(\w+)\])?:\s+(.+)$/, severity: 1, code: 2, message: 3 },
    { regexp: /^\s+-->\s+(.+?):(\d+):(\d+)$/, file: 1, line: 2, column: 3 },
  ],
};

/** Built-in matchers by the names that definitions use. */
export const PROBLEM_MATCHERS: Readonly<Record<string, ProblemMatcher>> = {
  gcc: GCC,
  clang: GCC,
  shellcheck: GCC,
  mypy: {
    severity: "error",
    patterns: [
      {
        regexp: /^(.+?):(\d+):(?:(\d+):)?\s+(error|warning|note):\s+(.+?)(?:\s+\[([\w-]+)\])?$/,
        file: 1,
        line: 2,
        column: 3,
        severity: 4,
        message: 5,
        code: 6,
      },
    ],
  },
  go: {
    severity: "error",
    patterns: [{ regexp: /^(?:vet:\s+)?(.+?\.go):(\d+):(?:(\d+):)?\s+(.+)$/, file: 1, line: 2, column: 3, message: 4 }],
  },
  "golangci-lint": {
    severity: "error",
    patterns: [
      {
        regexp: /^(.+?\.go):(\d+):(?:(\d+):)?\s+(.+?)(?:\s+\(([\w-]+)\))?$/,
        file: 1,
        line: 2,
        column: 3,
        message: 4,
        code: 5,
      },
    ],
  },
  tsc: {
    severity: "error",
    patterns: [
      {
        regexp: /^(.+?)(?:\((\d+),(\d+)\)|:(\d+):(\d+))\s*[:-]\s+(error|warning)\s+(TS\d+)\s*:\s+(.+)$/,
        file: 1,
        line: 2,
        column: 3,
        severity: 6,
        code: 7,
        message: 8,
      },
    ],
  },
  "eslint-stylish": ESLINT_STYLISH,
  eslint: ESLINT_STYLISH,
  "eslint-compact": {
    severity: "error",
    patterns: [
      {
        regexp: /^(.+?):\s+line\s+(\d+),\s+col\s+(\d+),\s+(Error|Warning)\s+-\s+(.+?)(?:\s+\((.+)\))?$/,
        file: 1,
        line: 2,
        column: 3,
        severity: 4,
        message: 5,
        code: 6,
      },
    ],
  },
  flake8: COLON_CODE,
  ruff: COLON_CODE,
  pycodestyle: COLON_CODE,
  pylint: {
    severity: "warning",
    patterns: [
      { regexp: /^(.+?):(\d+):(\d+):\s+([A-Z]\d+):\s+(.+)$/, file: 1, line: 2, column: 3, code: 4, message: 5 },
    ],
  },
  rubocop: {
    severity: "error",
    patterns: [
      {
        regexp: /^(.+?):(\d+):(\d+):\s+([CWEFI]):\s+(?:\[Correctable\]\s+)?(?:([\w/]+):\s+)?(.+)$/,
        file: 1,
        line: 2,
        column: 3,
        code: 5,
        message: 6,
      },
    ],
  },
  rustc: RUSTC,
  cargo: RUSTC,
  clippy: RUSTC,
  biome: COLON_PLAIN,
  actionlint: COLON_PLAIN,
  yamllint: {
    severity: "error",
    patterns: [
      {
        regexp: /^(.+?):(\d+):(\d+):\s+\[(error|warning)\]\s+(.+?)(?:\s+\(([\w-]+)\))?$/,
        file: 1,
        line: 2,
        column: 3,
        severity: 4,
        message: 5,
        code: 6,
      },
    ],
  },
  hadolint: {
    severity: "error",
    patterns: [
      {
        regexp: /^(.+?):(\d+)\s+((?:DL|SC)\d+)\s+(?:(error|warning|info|style):\s+)?(.+)$/,
        file: 1,
        line: 2,
        code: 3,
        severity: 4,
        message: 5,
      },
    ],
  },
  swiftlint: GCC,
  ktlint: COLON_PLAIN,
  terraform: {
    severity: "error",
    patterns: [
      { regexp: /^(Error|Warning):\s+(.+)$/, severity: 1, message: 2 },
      { regexp: /^\s+on\s+(.+?)\s+line\s+(\d+)/, file: 1, line: 2 },
    ],
  },
};
