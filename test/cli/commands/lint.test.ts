import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { temporaryFolder } from "../../support/temporary.ts";
import { fakeContext, runCommand } from "../fake/context.ts";

const GOOD = "tasks:\n  - key: a\n    run: echo hi\n";
const BAD = "tasks:\n  - key: a\n    runn: echo hi\n";

describe("mesh lint", () => {
  test("shows every fault with its place and a caret, and exits with 2", async () => {
    using folder = temporaryFolder();
    writeFileSync(folder.join("bad.yml"), BAD);
    writeFileSync(folder.join("good.yml"), GOOD);
    const said = await runCommand(fakeContext(), "lint", folder.join("good.yml"), folder.join("bad.yml"));
    expect(said.code).toBe(2);
    expect(said.out).toContain("bad.yml:3:5:");
    expect(said.out).toContain("^^^^");
    expect(said.out.trimEnd().split("\n").at(-1)).toMatch(/^✗ 2 definitions: \d errors?$/);
  });

  test("prints JSON and SARIF", async () => {
    using folder = temporaryFolder();
    writeFileSync(folder.join("bad.yml"), BAD);
    const json = JSON.parse((await runCommand(fakeContext(), "lint", folder.join("bad.yml"), "--json")).out) as {
      errors: number;
      files: { diagnostics: { place: object }[] }[];
    };
    expect(json.errors).toBeGreaterThan(0);
    expect(json.files[0]?.diagnostics[0]?.place).toEqual({ file: folder.join("bad.yml"), line: 3, column: 5 });
    const sarif = JSON.parse((await runCommand(fakeContext(), "lint", folder.join("bad.yml"), "--sarif")).out) as {
      version: string;
    };
    expect(sarif.version).toBe("2.1.0");
  });

  test("takes the one definition that is there when none is named", async () => {
    using folder = temporaryFolder();
    mkdirSync(folder.join(".mesh"));
    expect((await runCommand(fakeContext({ cwd: folder.path }), "lint")).error?.code).toBe("definition.not-found");
    writeFileSync(folder.join(".mesh/ci.yml"), GOOD);
    writeFileSync(folder.join(".mesh/cd.yaml"), GOOD);
    expect((await runCommand(fakeContext({ cwd: folder.path }), "run")).error?.hint).toBe(
      "Name one: `mesh run .mesh/cd.yaml`, `mesh run .mesh/ci.yml`.",
    );
  });

  test("refuses a file that does not exist", async () => {
    expect((await runCommand(fakeContext(), "lint", "/nowhere/tasks.yml")).error?.code).toBe("definition.not-found");
  });
});
