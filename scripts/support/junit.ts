// Reads what `bun test --reporter=junit` wrote: which tests passed, failed and were skipped. Pure.

export interface TestReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly SkippedTest[];
}

export interface SkippedTest {
  readonly file: string;
  readonly name: string;
  /** What the machine lacks, as `testIf` or `describeIf` wrote it behind a name; null for a bare `test.skip` or `test.todo`. */
  readonly reason: string | null;
}

const TEST_CASE = /<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
const SKIP_REASON = / \[skipped: (.+?)\](?=$| > )/s;

/** What `testIf` appends to the name of a test it skips. */
export function skipSuffix(reason: string): string {
  return ` [skipped: ${reason}]`;
}

/** Reads a JUnit report. A text that holds no test gives zeros. */
export function parseReport(xml: string): TestReport {
  let passed = 0;
  let failed = 0;
  const skipped: SkippedTest[] = [];
  for (const [, attributes = "", body = ""] of xml.matchAll(TEST_CASE)) {
    const name = attribute(attributes, "name");
    if (/<(failure|error)\b/.test(body)) failed++;
    else if (!body.includes("<skipped")) passed++;
    else
      skipped.push({
        file: attribute(attributes, "file"),
        name,
        reason: reasonIn(name, attribute(attributes, "classname")),
      });
  }
  return { passed, failed, skipped };
}

/** The test's own reason, or that of a group around it. `classname` names the groups, the innermost first. */
function reasonIn(name: string, groups: string): string | null {
  return (SKIP_REASON.exec(name) ?? SKIP_REASON.exec(groups))?.[1] ?? null;
}

function attribute(attributes: string, name: string): string {
  const escaped = new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  const named: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return escaped.replaceAll(/&(?:#(\d+)|(\w+));/g, (whole, code?: string, entity = "") =>
    code === undefined ? (named[entity as string] ?? whole) : String.fromCodePoint(Number(code)),
  );
}
