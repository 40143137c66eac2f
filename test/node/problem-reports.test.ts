import { expect, test } from "bun:test";
import { problemsInReport } from "../../src/node/problem-reports.ts";

test("problemsInReport() reads SARIF", () => {
  const sarif = {
    version: "2.1.0",
    runs: [
      {
        results: [
          {
            level: "note",
            ruleId: "no-x",
            message: { text: "x is not used" },
            locations: [
              { physicalLocation: { artifactLocation: { uri: "src/a.ts" }, region: { startLine: 3, startColumn: 5 } } },
            ],
          },
          { message: { text: "nowhere" } },
        ],
      },
      {},
    ],
  };
  expect(problemsInReport(JSON.stringify(sarif), 10)).toEqual([
    { severity: "notice", message: "x is not used", file: "src/a.ts", line: 3, column: 5, code: "no-x" },
    { severity: "error", message: "nowhere", file: null, line: null, column: null, code: null },
  ]);
});

test("problemsInReport() reads GitHub's annotations, and a plain list", () => {
  const annotations = [
    { path: "a.rb", start_line: 2, end_line: 2, annotation_level: "failure", message: "broken" },
    { file: "b.rb", line: 3, annotation_level: "notice", title: "Heed", message: "this" },
    { file: "c.rb", line: 4, column: 7, severity: "warning", message: "hm", code: "C1" },
  ];
  const problems = [
    { severity: "error", message: "broken", file: "a.rb", line: 2, column: null, code: null },
    { severity: "notice", message: "this", file: "b.rb", line: 3, column: null, code: null },
    { severity: "warning", message: "hm", file: "c.rb", line: 4, column: 7, code: "C1" },
  ] as const;
  expect(problemsInReport(JSON.stringify(annotations), 10)).toEqual([...problems]);
  expect(problemsInReport(JSON.stringify({ problems: annotations }), 2)).toEqual(problems.slice(0, 2));
});

test("problemsInReport() finds nothing in what is no report, and takes no value of another type", () => {
  for (const text of [
    "",
    "{",
    "null",
    "7",
    '"x"',
    "[1, null, [2]]",
    '{"runs": 1}',
    '{"runs": [null, {"results": {}}]}',
  ])
    expect(problemsInReport(text, 10)).toEqual([]);
  expect(
    problemsInReport('[{"message": {"a": 1}, "line": "7", "column": 1.5, "file": ["x"], "locations": [3]}]', 10),
  ).toEqual([{ severity: "error", message: "", file: null, line: null, column: null, code: null }]);
});
