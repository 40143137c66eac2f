import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { Guardian } from "../../../src/oci/io/guardian.ts";
import { isAlive } from "../../../src/oci/io/processes.ts";
import { describeIf } from "../../support/require.ts";
import { temporaryFolder } from "../../support/temporary.ts";

/** A program that starts a guardian, says its pid, and waits to be killed. */
const WARD = `
const { Guardian } = await import(process.argv[1]);
const guardian = Guardian.start(["/bin/mkdir", process.argv[2]], {});
console.log(guardian.pid);
setInterval(() => {}, 1000);
`;

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition() && performance.now() < deadline) await Bun.sleep(5);
}

describeIf(["linux"], "Guardian", () => {
  test("runs its program when the process that started it is killed, and ends", async () => {
    using folder = temporaryFolder();
    const mark = folder.join("cleaned");
    const source = new URL("../../../src/oci/io/guardian.ts", import.meta.url).pathname;
    // these tests run with a Bun that lets its children die with it: a guardian that is just born would
    const env = { ...process.env, BUN_FEATURE_FLAG_NO_ORPHANS: undefined };
    const ward = Bun.spawn([process.execPath, "-e", WARD, source, mark], { env, stdout: "pipe" });
    const reader = ward.stdout.getReader();
    const pid = Number(new TextDecoder().decode((await reader.read()).value));
    expect([isAlive(pid), existsSync(mark)]).toEqual([true, false]);
    ward.kill("SIGKILL");
    await ward.exited;
    await until(() => existsSync(mark) && !isAlive(pid));
    expect([existsSync(mark), isAlive(pid)]).toEqual([true, false]);
  });

  test("dismiss() ends it without a trace", async () => {
    using folder = temporaryFolder();
    const mark = folder.join("cleaned");
    const guardian = Guardian.start(["/bin/mkdir", mark], {});
    await guardian.dismiss();
    expect([isAlive(guardian.pid), existsSync(mark)]).toEqual([false, false]);
  });

  test("dismiss() is no error when somebody ended it", async () => {
    const guardian = Guardian.start(["/bin/true"], {});
    process.kill(guardian.pid, "SIGKILL");
    await guardian.dismiss();
    expect(isAlive(guardian.pid)).toBe(false);
  });
});
