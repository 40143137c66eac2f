import { expect, test } from "bun:test";
import { parseReport, skipSuffix } from "../../../scripts/support/junit.ts";

test("parseReport() counts passed, failed and skipped tests, nested suites included", () => {
  const xml = `<testsuites tests="4"><testsuite name="a.test.ts" file="a.test.ts">
    <testcase name="ok" classname="" time="0" file="a.test.ts" line="2" assertions="0" />
    <testsuite name="group">
      <testcase name="bad" file="a.test.ts"><failure type="AssertionError">...</failure></testcase>
      <testcase name="broken" file="a.test.ts"><error message="x" /></testcase>
    </testsuite>
    <testcase name="later" file="a.test.ts">
      <skipped message="TODO" />
    </testcase>
  </testsuite></testsuites>`;
  expect(parseReport(xml)).toEqual({
    passed: 1,
    failed: 2,
    skipped: [{ file: "a.test.ts", name: "later", reason: null }],
  });
});

test("parseReport() reads the reason that skipSuffix() wrote, through XML escapes", () => {
  const name = `fits() refuses &lt;a &amp; b&gt;${skipSuffix("no &quot;gpu&quot;&#10;here")}`;
  const xml = `<testcase name="${name}" file="test/x.test.ts"><skipped /></testcase>`;
  expect(parseReport(xml).skipped).toEqual([
    {
      file: "test/x.test.ts",
      name: 'fits() refuses <a & b> [skipped: no "gpu"\nhere]',
      reason: 'no "gpu"\nhere',
    },
  ]);
});

test("parseReport() reads the reason of the group that a skipped test is in", () => {
  const groups = `inner &gt; outer${skipSuffix("crun: crun is not installed")} &gt; whole`;
  const xml = `<testcase name="x" classname="${groups}" file="a.test.ts"><skipped /></testcase>`;
  expect(parseReport(xml).skipped).toEqual([{ file: "a.test.ts", name: "x", reason: "crun: crun is not installed" }]);
});

test("parseReport() finds nothing in an empty or foreign text", () => {
  for (const text of ["", "<testsuites />", "not xml"]) {
    expect(parseReport(text)).toEqual({ passed: 0, failed: 0, skipped: [] });
  }
});
