// Owners of files in contexts of an ordinary user with subordinate ids.

import { expect } from "bun:test";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { testIf } from "../support/require.ts";
import { Project, outcomes } from "./harness.ts";

const NEEDS = [
  "linux",
  "binary",
  "user-namespaces",
  "overlay-in-user-namespace",
  "not-root",
  "subordinate-ids",
] as const;

const DEFINITION = `
tasks:
  - key: gives
    run: |
      mkdir -p tree/closed
      echo secret > tree/closed/file
      echo ours > tree/ours
      chown -R 8:8 tree/closed
      chmod 700 tree/closed
      chmod 600 tree/closed/file
      cp tree/closed/file single
      chown 9 single
      chmod 600 single
    outputs:
      artifacts:
        - { key: folder, path: tree }
        - { key: file, path: single }
  - key: sees
    use: gives
    run: |
      stat -c '%n %u:%g %a' tree tree/closed tree/closed/file tree/ours single > $MESH_VALUES/owners
      setpriv --reuid=8 --regid=8 --clear-groups cat tree/closed/file
      if setpriv --reuid=10 --regid=10 --clear-groups cat tree/closed/file 2> /dev/null; then exit 1; fi
      rm -r tree/closed
  - key: misses
    use: sees
    run: test ! -e tree/closed && test -e tree/ours
  - key: takes
    env:
      FOLDER: \${{ tasks.gives.artifacts.folder }}
      FILE: \${{ tasks.gives.artifacts.file }}
    run: |
      cd $FOLDER
      stat -c '%n %u %a' closed/file > $MESH_VALUES/owner
      cat closed/file $FILE
  - key: filtered
    use: gives
    filter: ["!tree/closed/file"]
    run: stat -c %u tree/closed > $MESH_VALUES/owner && test ! -e tree/closed/file
  - key: keeps
    run: mkdir kept && echo 1 > kept/a && echo 2 > kept/b && chown -R 8 kept && chmod 700 kept
    outputs:
      filesystem: { filter: [kept/a] }
  - key: kept
    use: keeps
    run: stat -c '%n %u' kept/* > $MESH_VALUES/files
  - key: gives-root
    run: chown 10 / /workspace && echo still > file
`;

testIf(
  NEEDS,
  "files of other owners are kept, found, replayed, downloaded, verified and pruned",
  async () => {
    using project = new Project();
    const { code, run, task } = await project.run(DEFINITION);
    expect(outcomes(run)).toEqual(Object.fromEntries(run.tasks.map(({ key }) => [key, "succeeded"])));
    expect(code).toBe(0);
    expect(task("sees").outputs.values["owners"]?.split("\n")).toEqual([
      "tree 0:0 755",
      "tree/closed 8:8 700",
      "tree/closed/file 8:8 600",
      "tree/ours 0:0 644",
      "single 9:0 600",
    ]);
    expect(task("takes").outputs.values["owner"]).toBe("closed/file 8 600");
    expect(task("filtered").outputs.values["owner"]).toBe("8");
    expect(task("kept").outputs.values["files"]).toBe("kept/a 8");
    // nothing of the runs stays, whoever owned it
    expect(readdirSync(join(project.home, "tmp"))).toEqual([]);

    const again = await project.run(DEFINITION);
    expect(new Set(Object.values(outcomes(again.run)))).toEqual(new Set(["cacheHit"]));

    const download = await project.mesh(["artifacts", "download", "gives", "--output", "out"]);
    expect(download.code).toBe(0);
    expect(readFileSync(join(project.directory, "out/folder/tree/closed/file"), "utf8")).toBe("secret\n");
    expect(readFileSync(join(project.directory, "out/file/single"), "utf8")).toBe("secret\n");

    expect((await project.mesh(["cache", "verify"])).code).toBe(0);
    expect((await project.mesh(["cache", "prune", "--to", "0"])).code).toBe(0);
    expect([readdirSync(join(project.home, "layers")), readdirSync(join(project.home, "tmp"))]).toEqual([[], []]);
  },
  120_000,
);

testIf(
  NEEDS,
  "without the right to map them one id is mapped, and results of the two never mix",
  async () => {
    using project = new Project();
    const definition = `
tasks:
  - key: owns
    run: touch file && chown 8 file && stat -c %u file > $MESH_VALUES/owner
`;
    expect((await project.run(definition)).task("owns").outputs.values["owner"]).toBe("8");
    using other = new Project({ wrapper: ["setpriv", "--no-new-privs"], home: project.home });
    const single = await other.run(definition);
    expect([outcomes(single.run)["owns"], single.task("owns").outputs.values["owner"]]).toEqual(["succeeded", "0"]);
    const back = await project.run(definition);
    expect([outcomes(back.run)["owns"], back.task("owns").outputs.values["owner"]]).toEqual(["cacheHit", "8"]);
    expect((await project.mesh(["cache", "prune", "--to", "0"])).code).toBe(0);
    expect(existsSync(join(project.home, "layers"))).toBe(true);
  },
  120_000,
);
