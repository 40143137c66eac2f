import { expect } from "bun:test";
import { ContextBackend } from "../../../src/exec/io/context-backend.ts";
import { testIf } from "../../support/require.ts";
import { BackendFixture, type BackendUnderTest, backendSuite } from "../backend-suite.ts";

const CONTEXT: BackendUnderTest = {
  name: "ContextBackend",
  needs: ["linux", "user-namespaces", "overlay-in-user-namespace"],
  open: (home) => new ContextBackend({ home, hostname: "context" }),
};

backendSuite(CONTEXT);

testIf(CONTEXT.needs, "start() hides the store from the task", async () => {
  await using fixture = new BackendFixture(CONTEXT);
  fixture.layer({ "workspace/secret": "s" });
  expect((await fixture.run(`ls -A ${fixture.home} | wc -l`)).stdout.trim()).toBe("0");
});

testIf(CONTEXT.needs, "start() names the machine as it is told", async () => {
  await using fixture = new BackendFixture(CONTEXT);
  expect((await fixture.run("cat /proc/sys/kernel/hostname")).stdout).toBe("context\n");
});
