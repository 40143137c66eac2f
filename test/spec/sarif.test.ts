import { describe, expect, test } from "bun:test";
import { RULES } from "../../src/spec/diagnostic.ts";
import { parseDefinition } from "../../src/spec/parse.ts";
import { sarifLog } from "../../src/spec/sarif.ts";
import { task } from "./marked.ts";

describe("sarifLog()", () => {
  const { diagnostics } = parseDefinition(task("run: x", "use: nobody", "timeout-minutes: 5"), {
    file: "a b/tasks.yml",
  });
  const log = sarifLog({ version: "1.2.3", files: [{ file: "a b/tasks.yml", diagnostics }] });

  test("gives one result for each diagnostic, with its place and rule", () => {
    expect(log.version).toBe("2.1.0");
    expect(log.runs[0].results).toEqual([
      {
        ruleId: "unknown-task",
        ruleIndex: Object.keys(RULES).indexOf("unknown-task"),
        level: "error",
        message: { text: 'There is no task "nobody", which `use` names' },
        locations: [
          {
            physicalLocation: {
              artifactLocation: { uri: "a%20b/tasks.yml" },
              region: { startLine: 4, startColumn: 10, endLine: 4, endColumn: 16 },
            },
          },
        ],
      },
      expect.objectContaining({
        ruleId: "deprecated",
        level: "note",
        message: { text: '"timeout-minutes" is old. Use `timeout: 5m`.' },
      }),
    ]);
  });

  test("lists every rule, so that indexes hold", () => {
    const { rules, name, version } = log.runs[0].tool.driver;
    expect({ name, version }).toEqual({ name: "mesh", version: "1.2.3" });
    for (const { ruleId, ruleIndex } of log.runs[0].results) expect(rules[ruleIndex]?.id).toBe(ruleId);
    expect(rules.map(({ id }) => id)).toEqual(Object.keys(RULES));
  });
});
