import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { lockMesh } from "../../../src/mesh/io/mesh-lock.ts";
import { temporaryFolder } from "../../support/temporary.ts";

test("lockMesh() lets one in at a time, and the next when the first is gone, however it ended", async () => {
  using folder = temporaryFolder();
  {
    using _ = lockMesh(folder.join("mesh"));
    expect(() => lockMesh(folder.join("mesh"))).toThrow(`A node runs for ${folder.join("mesh")} already`);
  }
  const script = folder.join("hold.ts");
  const source = new URL("../../../src/mesh/io/mesh-lock.ts", import.meta.url).pathname;
  writeFileSync(
    script,
    `import { lockMesh } from ${JSON.stringify(source)};
     lockMesh(${JSON.stringify(folder.join("mesh"))}); console.log("held"); process.stdin.resume();`,
  );
  const holder = Bun.spawn([process.execPath, script], { stdin: "pipe", stdout: "pipe" });
  await holder.stdout.getReader().read();
  expect(() => lockMesh(folder.join("mesh"))).toThrow(`process ${holder.pid}`);
  holder.kill("SIGKILL");
  await holder.exited;
  lockMesh(folder.join("mesh"))[Symbol.dispose]();
});
