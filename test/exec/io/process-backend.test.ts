import { expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ProcessBackend } from "../../../src/exec/io/process-backend.ts";
import { testIf } from "../../support/require.ts";
import { BackendFixture, type BackendUnderTest, backendSuite } from "../backend-suite.ts";

const PROCESS: BackendUnderTest = {
  name: "ProcessBackend",
  needs: ["linux"],
  open: (home) => new ProcessBackend({ home, definitionDirectory: home }),
};

backendSuite(PROCESS);

testIf(["linux", "whiteouts"], "start() empties the workspace where a layer removed it", async () => {
  await using fixture = new BackendFixture(PROCESS);
  const layers = [fixture.layer({ "workspace/a": "a" }), fixture.layer({ workspace: null })];
  expect((await fixture.run("ls -A", { layers })).stdout).toBe("");
});

testIf("linux", "start() leaves no workspace and no home behind", async () => {
  await using fixture = new BackendFixture(PROCESS);
  const scratch = fixture.scratch();
  await fixture.run('echo x > f; echo y > "$HOME/g"', { scratch });
  expect(existsSync(join(scratch.root, "workspace"))).toBe(false);
  expect(existsSync(join(scratch.root, "home"))).toBe(false);
  expect(readFileSync(join(scratch.upper, "workspace/f"), "utf8")).toBe("x\n");
});

testIf("linux", "exited settles although a process without the mark holds the output open", async () => {
  await using fixture = new BackendFixture(PROCESS);
  const { exitCode, stdout } = await fixture.run("env -i /usr/bin/setsid /bin/sleep 2 & echo over; sleep 0.05");
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "over\n" });
});
