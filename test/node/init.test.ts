import { describe, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { initValues } from "../../src/node/init.ts";
import { parseDefinition } from "../../src/spec/parse.ts";

const YAML = `
on:
  cli:
    init:
      sha: "\${{ event.git.sha }}"
      target: dev
  github:
    push:
      init:
        branch: "\${{ event.git.branch }}"
tasks:
  - { key: a, run: "true" }`;

function values(given: Readonly<Record<string, string>>) {
  const { definition, diagnostics } = parseDefinition(YAML, { file: "tasks.yml" });
  if (definition === null) throw new Error(diagnostics[0]?.message);
  return initValues(definition, given, { git: { sha: "abc" } }, "tasks.yml");
}

describe("initValues()", () => {
  test("initValues() evaluates the defaults, and leaves other triggers' names empty", () => {
    expect(values({})).toEqual({ sha: "abc", target: "dev", branch: "" });
  });

  test("initValues() lets what is given win, also for other triggers' names", () => {
    expect(values({ target: "prod", branch: "x", sha: "" })).toEqual({ sha: "", target: "prod", branch: "x" });
  });

  test("initValues() refuses a name that no trigger gives, with the one that is meant", () => {
    const refused = () => values({ tagret: "x" });
    expect(refused).toThrow(MeshError);
    expect(refused).toThrow("Cannot set init tagret: tasks.yml does not name it");
  });
});
