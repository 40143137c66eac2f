import { describe, expect, test } from "bun:test";
import { PROBLEM_MATCHERS } from "../../src/node/problem-matchers.ts";
import { matchProblems } from "../../src/node/problems.ts";
import { PROBLEM_MATCHER_NAMES, type ProblemMatcherName } from "../../src/spec/problem-matchers.ts";

/** A matcher, what its tool prints, and the problems in it: severity, file, line, column, code, message. */
type Sample = readonly [ProblemMatcherName, string, ...(readonly (string | number | null)[])[]];

const SAMPLES: readonly Sample[] = [
  [
    "actionlint",
    '.github/workflows/ci.yml:8:11: unexpected key "node_version" for "job" section [syntax-check]\n  |\n8 |           node_version: 16',
    ["error", ".github/workflows/ci.yml", 8, 11, "syntax-check", 'unexpected key "node_version" for "job" section'],
  ],
  [
    "biome",
    "./src/a.ts:1:7 lint/correctness/noUnusedVariables  FIXABLE  ━━━━━━━━━━\n\n  ! This variable a is unused.\n\n  > 1 │ const a = 1;",
    ["warning", "./src/a.ts", 1, 7, "lint/correctness/noUnusedVariables", "This variable a is unused."],
  ],
  [
    "black",
    "would reformat src/a.py\nOh no!\n1 file would be reformatted.",
    ["error", "src/a.py", null, null, null, "would reformat"],
  ],
  [
    "brakeman",
    "Confidence: High\nCategory: SQL Injection\nCheck: SQL\nMessage: Possible SQL injection\nCode: User.where(\"name = '#{params[:name]}'\")\nFile: app/models/user.rb\nLine: 10",
    ["warning", "app/models/user.rb", 10, null, "SQL", "Possible SQL injection"],
  ],
  [
    "cargo",
    '   Compiling a v0.1.0\nerror[E0425]: cannot find value `x` in this scope\n --> src/main.rs:2:20\n  |\n2 |     println!("{}", x);',
    ["error", "src/main.rs", 2, 20, "E0425", "cannot find value `x` in this scope"],
  ],
  [
    "checkstyle",
    "Starting audit...\n[ERROR] /app/src/Main.java:3:8: Unused import - java.util.List. [UnusedImports]\n[WARN] /app/src/Main.java:1: File does not end with a newline. [NewlineAtEndOfFile]\nAudit done.",
    ["error", "/app/src/Main.java", 3, 8, "UnusedImports", "Unused import - java.util.List."],
    ["warning", "/app/src/Main.java", 1, null, "NewlineAtEndOfFile", "File does not end with a newline."],
  ],
  [
    "clang",
    "a.c:3:10: fatal error: 'nope.h' file not found\n    3 | #include <nope.h>\n      |          ^~~~~~~~\n1 error generated.",
    ["error", "a.c", 3, 10, null, "'nope.h' file not found"],
  ],
  [
    "clang-tidy",
    "/app/a.cpp:4:3: warning: use auto when initializing with new [modernize-use-auto]\n/app/a.cpp:9:1: error: unknown type name 'x' [clang-diagnostic-error]",
    ["warning", "/app/a.cpp", 4, 3, "modernize-use-auto", "use auto when initializing with new"],
    ["error", "/app/a.cpp", 9, 1, "clang-diagnostic-error", "unknown type name 'x'"],
  ],
  [
    "clippy",
    'warning: unneeded `return` statement\n  --> src/main.rs:2:5\n   |\nwarning: `a` (bin "a") generated 1 warning',
    ["warning", "src/main.rs", 2, 5, null, "unneeded `return` statement"],
  ],
  [
    "cppcheck",
    "Checking a.cpp ...\na.cpp:4:5: error: Null pointer dereference: p [nullPointer]\n    *p = 1;\n    ^\na.cpp:2:8: style: The function 'f' is never used. [unusedFunction]\n[b.cpp:7]: (error) Memory leak: q",
    ["error", "a.cpp", 4, 5, "nullPointer", "Null pointer dereference: p"],
    ["warning", "a.cpp", 2, 8, "unusedFunction", "The function 'f' is never used."],
    ["error", "b.cpp", 7, null, null, "Memory leak: q"],
  ],
  [
    "credo",
    "┃ [W] ↗ There should be no calls to `IO.inspect/1`.\n┃       lib/a.ex:5:8 #(A.b)\n[R] → lib/b.ex:1:11 Modules should have a @moduledoc tag.",
    ["warning", "lib/a.ex", 5, 8, "W", "There should be no calls to `IO.inspect/1`."],
    ["warning", "lib/b.ex", 1, 11, "R", "Modules should have a @moduledoc tag."],
  ],
  [
    "dart",
    "Analyzing app...\n\n  error - bin/main.dart:3:5 - Undefined name 'x'. - undefined_identifier\n   info • Unused import: 'dart:io' • lib/main.dart:1:8 • unused_import\n",
    ["error", "bin/main.dart", 3, 5, "undefined_identifier", "Undefined name 'x'."],
    ["notice", "lib/main.dart", 1, 8, "unused_import", "Unused import: 'dart:io'"],
  ],
  [
    "detekt",
    "/app/src/A.kt:12:5: The function f is too long (70). [LongMethod]\n\tMagicNumber - [f] at /app/src/A.kt:3:9",
    ["error", "/app/src/A.kt", 12, 5, "LongMethod", "The function f is too long (70)."],
    ["error", "/app/src/A.kt", 3, 9, "MagicNumber", "[f]"],
  ],
  [
    "erb-lint",
    "Linting 8 files with 12 linters...\n\nRemove multiple trailing newline at the end of the file.\nIn file: app/views/a.html.erb:95\n\n1 error(s) were found in ERB files",
    ["error", "app/views/a.html.erb", 95, null, null, "Remove multiple trailing newline at the end of the file."],
  ],
  [
    "eslint",
    "\n/app/src/a.js\n  1:7   error    'a' is assigned a value but never used  no-unused-vars\n  5:10  warning  Unexpected console statement            no-console\n\n/app/src/b c.ts\n  2:1  error  Parsing error: Unexpected token\n\n✖ 3 problems (2 errors, 1 warning)\n",
    ["error", "/app/src/a.js", 1, 7, "no-unused-vars", "'a' is assigned a value but never used"],
    ["warning", "/app/src/a.js", 5, 10, "no-console", "Unexpected console statement"],
    ["error", "/app/src/b c.ts", 2, 1, null, "Parsing error: Unexpected token"],
  ],
  [
    "eslint-compact",
    "/app/a.js: line 50, col 11, Error - 'myVar' is defined but never used. (no-unused-vars)",
    ["error", "/app/a.js", 50, 11, "no-unused-vars", "'myVar' is defined but never used."],
  ],
  [
    "eslint-only-errors",
    "/app/a.js\n  1:7  warning  Unexpected console statement  no-console\n  5:1  error    'b' is not defined            no-undef",
    ["error", "/app/a.js", 5, 1, "no-undef", "'b' is not defined"],
  ],
  [
    "eslint-stylish",
    "/app/a.js\n  1:7  error  'b' is not defined  no-undef",
    ["error", "/app/a.js", 1, 7, "no-undef", "'b' is not defined"],
  ],
  [
    "flake8",
    "./a.py:1:1: F401 'os' imported but unused",
    ["error", "./a.py", 1, 1, "F401", "'os' imported but unused"],
  ],
  [
    "gcc",
    "a.c: In function 'main':\na.c:4:9: warning: unused variable 'x' [-Wunused-variable]\na.c:5:5: note: declared here\na.c:2: error: expected ';' before '}' token",
    ["warning", "a.c", 4, 9, "-Wunused-variable", "unused variable 'x'"],
    ["notice", "a.c", 5, 5, null, "declared here"],
    ["error", "a.c", 2, null, null, "expected ';' before '}' token"],
  ],
  [
    "go",
    "# example.com/a\n./main.go:6:2: undefined: x\nvet: ./b.go:3:1: expected declaration\n    a_test.go:9: got 1, want 2",
    ["error", "./main.go", 6, 2, null, "undefined: x"],
    ["error", "./b.go", 3, 1, null, "expected declaration"],
    ["error", "a_test.go", 9, null, null, "got 1, want 2"],
  ],
  [
    "golangci-lint",
    "main.go:7:12: Error return value of `f.Close` is not checked (errcheck)\n\tf.Close()\n\t       ^",
    ["error", "main.go", 7, 12, "errcheck", "Error return value of `f.Close` is not checked"],
  ],
  [
    "hadolint",
    "Dockerfile:3 DL3008 warning: Pin versions in apt get install.\nDockerfile:1 DL3006 Always tag the version",
    ["warning", "Dockerfile", 3, null, "DL3008", "Pin versions in apt get install."],
    ["error", "Dockerfile", 1, null, "DL3006", "Always tag the version"],
  ],
  [
    "htmlhint",
    "   /app/index.html\n      L1 |<title></title>\n          ^ Doctype must be declared first. (doctype-first)\n      L9 |<p>\n          ^ Tag must be paired. (tag-pair)",
    ["error", "/app/index.html", 1, null, "doctype-first", "Doctype must be declared first."],
    ["error", "/app/index.html", 9, null, "tag-pair", "Tag must be paired."],
  ],
  [
    "javac",
    "A.java:3: error: cannot find symbol\n        foo();\n        ^\n  symbol:   method foo()\n1 error",
    ["error", "A.java", 3, null, null, "cannot find symbol"],
  ],
  [
    "jshint",
    "a.js: line 10, col 5, Missing semicolon.\n\n1 error",
    ["error", "a.js", 10, 5, null, "Missing semicolon."],
  ],
  [
    "kotlinc",
    "e: file:///app/A.kt:3:5 Unresolved reference: x\nw: /app/B.kt: (4, 6): Variable 'y' is never used",
    ["error", "/app/A.kt", 3, 5, null, "Unresolved reference: x"],
    ["warning", "/app/B.kt", 4, 6, null, "Variable 'y' is never used"],
  ],
  [
    "ktlint",
    "/app/A.kt:1:1: Unexpected indentation (4) (should be 2) (standard:indent)",
    ["error", "/app/A.kt", 1, 1, "standard:indent", "Unexpected indentation (4) (should be 2)"],
  ],
  [
    "luacheck",
    "Checking a.lua    1 warning\n\n    a.lua:1:7: (W211) unused variable 'x'\n    b.lua:3:1: expected expression near 'end'",
    ["warning", "a.lua", 1, 7, "211", "unused variable 'x'"],
    ["warning", "b.lua", 3, 1, null, "expected expression near 'end'"],
  ],
  [
    "markdownlint",
    "README.md:3:81 MD013/line-length Line length [Expected: 80; Actual: 99]\nREADME.md:9 error MD040/fenced-code-language Fenced code blocks should have a language",
    ["error", "README.md", 3, 81, "MD013", "Line length [Expected: 80; Actual: 99]"],
    ["error", "README.md", 9, null, "MD040", "Fenced code blocks should have a language"],
  ],
  [
    "maven",
    "[ERROR] COMPILATION ERROR : \n[ERROR] /app/src/A.java:[3,9] cannot find symbol\n[INFO] 1 error",
    ["error", "/app/src/A.java", 3, 9, null, "cannot find symbol"],
  ],
  [
    "msvc",
    "a.cpp\nC:\\app\\a.cpp(3,5): error C2065: 'x': undeclared identifier\na.cpp(9): warning C4101: 'y': unreferenced local variable",
    ["error", "C:\\app\\a.cpp", 3, 5, "C2065", "'x': undeclared identifier"],
    ["warning", "a.cpp", 9, null, "C4101", "'y': unreferenced local variable"],
  ],
  [
    "mypy",
    'a.py:3: error: Incompatible return value type (got "int", expected "str")  [return-value]\na.py:3:5: note: See the docs\nFound 1 error in 1 file (checked 1 source file)',
    ["error", "a.py", 3, null, "return-value", 'Incompatible return value type (got "int", expected "str")'],
    ["notice", "a.py", 3, 5, null, "See the docs"],
  ],
  [
    "oxlint",
    "  x typescript(no-unsafe-argument): Unsafe argument of type any.\n    ,-[test/sched/run-world.test.ts:34:5]\n 33 |   expect(\n\n  ⚠ eslint(no-unused-vars): Variable 'a' is declared but never used.\n   ╭─[src/a.js:1:7]\n",
    ["error", "test/sched/run-world.test.ts", 34, 5, "typescript(no-unsafe-argument)", "Unsafe argument of type any."],
    ["warning", "src/a.js", 1, 7, "eslint(no-unused-vars)", "Variable 'a' is declared but never used."],
  ],
  [
    "php_codesniffer",
    "\nFILE: /app/a.php\n-----------------------------------\nFOUND 1 ERROR AND 1 WARNING AFFECTING 2 LINES\n-----------------------------------\n  2 | ERROR   | [ ] Missing file doc comment\n 20 | WARNING | [x] Line exceeds 85 characters\n-----------------------------------\n/app/b.php:4:1: warning - Not good (Generic.Files)",
    ["error", "/app/a.php", 2, null, null, "Missing file doc comment"],
    ["warning", "/app/a.php", 20, null, null, "Line exceeds 85 characters"],
    ["warning", "/app/b.php", 4, 1, null, "Not good (Generic.Files)"],
  ],
  [
    "phpstan",
    "/app/a.php:12:Undefined variable: $x",
    ["error", "/app/a.php", 12, null, null, "Undefined variable: $x"],
  ],
  [
    "prettier",
    "Checking formatting...\n[warn] src/a.js\n[error] src/b.js: SyntaxError: Unexpected token (3:7)\n[warn] Code style issues found in the above file. Run Prettier with --write to fix.",
    ["warning", "src/a.js", null, null, null, ""],
    ["error", "src/b.js", 3, 7, null, "SyntaxError: Unexpected token"],
  ],
  [
    "psalm",
    "ERROR: InvalidReturnType - src/a.php:12:5 - The declared return type is wrong (see https://psalm.dev/011)",
    ["error", "src/a.php", 12, 5, "InvalidReturnType", "The declared return type is wrong"],
  ],
  [
    "pycodestyle",
    "a.py:2:80: E501 line too long (92 > 79 characters)",
    ["error", "a.py", 2, 80, "E501", "line too long (92 > 79 characters)"],
  ],
  [
    "pylint",
    "************* Module a\na.py:1:0: C0114: Missing module docstring (missing-module-docstring)\na.py:3:4: E0602: Undefined variable 'x' (undefined-variable)",
    ["warning", "a.py", 1, 0, "C0114", "Missing module docstring (missing-module-docstring)"],
    ["error", "a.py", 3, 4, "E0602", "Undefined variable 'x' (undefined-variable)"],
  ],
  [
    "pyright",
    '/app/a.py\n  /app/a.py:3:5 - error: "x" is not defined (reportUndefinedVariable)\n1 error, 0 warnings, 0 informations',
    ["error", "/app/a.py", 3, 5, "reportUndefinedVariable", '"x" is not defined'],
  ],
  [
    "pytest",
    "    def test_a():\n>       assert f() == 2\nE       assert 1 == 2\nE        +  where 1 = f()\n\ntest_a.py:5: AssertionError\n=== short test summary info ===\nFAILED test_b.py::test_x - ValueError: no",
    ["error", "test_a.py", 5, null, "AssertionError", "+  where 1 = f()"],
    ["error", "test_b.py", null, null, null, "ValueError: no"],
  ],
  [
    "roslyn",
    "Program.cs(5,13): error CS0103: The name 'x' does not exist in the current context [/app/app.csproj]",
    ["error", "Program.cs", 5, 13, "CS0103", "The name 'x' does not exist in the current context"],
  ],
  [
    "rubocop",
    'Inspecting 2 files\nCE\n\nOffenses:\n\napp/a.rb:3:5: C: [Correctable] Style/StringLiterals: Prefer single-quoted strings.\n  puts "a"\napp/b.rb:1:1: E: Lint/Syntax: unexpected token tIDENTIFIER',
    ["warning", "app/a.rb", 3, 5, "Style/StringLiterals", "Prefer single-quoted strings."],
    ["error", "app/b.rb", 1, 1, "Lint/Syntax", "unexpected token tIDENTIFIER"],
  ],
  [
    "ruff",
    "a.py:1:8: F401 [*] `os` imported but unused\nF841 Local variable `x` is assigned to but never used\n --> b.py:2:5\n  |\nFound 2 errors.",
    ["error", "a.py", 1, 8, "F401", "`os` imported but unused"],
    ["error", "b.py", 2, 5, "F841", "Local variable `x` is assigned to but never used"],
  ],
  ["rustc", "warning: unused variable: `x`\n --> a.rs:2:9", ["warning", "a.rs", 2, 9, null, "unused variable: `x`"]],
  [
    "rustfmt",
    "Diff in /app/src/main.rs:1:\n-fn main( ) {}\nDiff in /app/src/lib.rs at line 3:",
    ["error", "/app/src/main.rs", 1, null, null, "Diff"],
    ["error", "/app/src/lib.rs", 3, null, null, "Diff"],
  ],
  [
    "shellcheck",
    "\nIn a.sh line 3:\necho $1 $(ls)\n     ^-- SC2086 (info): Double quote to prevent globbing.\n        ^---^ SC2046 (warning): Quote this.\n\nb.sh:2:6: warning: x is unused. [SC2034]",
    ["notice", "a.sh", 3, null, "SC2086", "Double quote to prevent globbing."],
    ["warning", "a.sh", 3, null, "SC2046", "Quote this."],
    ["warning", "b.sh", 2, 6, "SC2034", "x is unused."],
  ],
  [
    "standardrb",
    "standard: Run `standardrb --fix` to potentially fix one problem.\n  app/a.rb:3:5: Style/StringLiterals: Prefer double-quoted strings.",
    ["warning", "app/a.rb", 3, 5, "Style/StringLiterals", "Prefer double-quoted strings."],
  ],
  [
    "staticcheck",
    "a.go:7:2: this value of err is never used (SA4006)",
    ["error", "a.go", 7, 2, "SA4006", "this value of err is never used"],
  ],
  [
    "stylelint",
    "src/a.css\n  1:5  ✖  Unexpected empty block  block-no-empty\n\n✖ 1 problem (1 error, 0 warnings)",
    ["error", "src/a.css", 1, 5, "block-no-empty", "Unexpected empty block"],
  ],
  [
    "swiftlint",
    "/app/A.swift:1:5: warning: Line Length Violation: Line should be 120 characters or less (line_length)",
    ["warning", "/app/A.swift", 1, 5, "line_length", "Line Length Violation: Line should be 120 characters or less"],
  ],
  [
    "terraform",
    '╷\n│ Error: Unsupported argument\n│ \n│   on main.tf line 3, in resource "x" "y":\n│    3:   nope = 1\n╵',
    ["error", "main.tf", 3, null, null, "Unsupported argument"],
  ],
  [
    "tsc",
    "src/a.ts(1,7): error TS2322: Type 'string' is not assignable to type 'number'.\nsrc/b.ts:2:9 - error TS2304: Cannot find name 'x'.\n\n2 x();\n  ~\n\nFound 2 errors.",
    ["error", "src/a.ts", 1, 7, "TS2322", "Type 'string' is not assignable to type 'number'."],
    ["error", "src/b.ts", 2, 9, "TS2304", "Cannot find name 'x'."],
  ],
  [
    "yamllint",
    'a.yml:1:1: [warning] missing document start "---" (document-start)\nb.yml\n  3:81      error    line too long (90 > 80 characters)  (line-length)\n',
    ["warning", "a.yml", 1, 1, "document-start", 'missing document start "---"'],
    ["error", "b.yml", 3, 81, "line-length", "line too long (90 > 80 characters)"],
  ],
];

describe("PROBLEM_MATCHERS", () => {
  for (const [name, output, ...problems] of SAMPLES) {
    test(`${name} finds what the tool prints`, () => {
      const found = matchProblems(output, PROBLEM_MATCHERS[name]);
      expect(
        found.map(({ severity, file, line, column, code, message }) => [severity, file, line, column, code, message]),
      ).toEqual(problems.map((problem) => [...problem]));
    });
  }

  test("every matcher has a sample", () => {
    expect(SAMPLES.map(([name]) => name)).toEqual([...PROBLEM_MATCHER_NAMES]);
  });

  test("a hostile line costs no matcher more than its length", () => {
    const pieces = [
      " ",
      "a",
      ":",
      "1:",
      "a:1:1: ",
      "a.b/",
      "[",
      " [a",
      "(",
      " (a",
      "E ",
      " - ",
      "a.go:1: ",
      "error: ",
      "a(1",
      ".a",
      "> ",
      "│ ",
      "L1 |",
    ];
    const starts = [
      "",
      "a:1:1: error: ",
      "a.go:1:1: ",
      "  1:1  error  a",
      "a: line 1, col 1, ",
      "a.ts(1,1): error TS1: ",
      "  error - ",
      "[a:1] ",
      "a:1:1: C: ",
    ];
    const lines = pieces.flatMap((piece) =>
      starts.map((start) => (start + piece.repeat(2_000)).slice(0, 1_999) + "\u0001"),
    );
    const text = `${lines.join("\n")}\n`.repeat(4);
    const slow = PROBLEM_MATCHER_NAMES.filter((name) => {
      const started = performance.now();
      matchProblems(text, PROBLEM_MATCHERS[name]);
      // 1.4 MB: some 10 ms where the cost is linear, many seconds where it is not
      return performance.now() - started > 1_500;
    });
    expect(slow).toEqual([]);
  });
});
