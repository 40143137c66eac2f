import { expect } from "bun:test";
import { CONTEXTS } from "../../support/abilities.ts";
import { testIf } from "../../support/require.ts";
import { NodeMesh, placesOf, summaryOf } from "../../fake/node-mesh.ts";
import { outcomesOf, taskOf } from "../../fake/node-run.ts";

const HOST = "base: { image: host }\n";

testIf(
  CONTEXTS,
  "files, filters, artifacts and variables cross between real contexts on two machines",
  async () => {
    await using mesh = new NodeMesh();
    const here = await mesh.add("here", { contexts: true });
    await mesh.add("there", { contexts: true });
    const yaml = `${HOST}tasks:
  - key: make
    run: |
      mkdir -p src out
      echo one > src/one; echo two > src/two; ln -s one src/link; chmod 755 src/two
      tar -cf out/all.tar src
      echo 17 > $MESH_VALUES/answer
      echo there > $MESH_ENV/WHERE
    agent: { node: there, network: none }
    outputs: { artifacts: [{ key: all, path: out/all.tar }, { key: src, path: src }] }
  - key: narrow
    use: make
    filter: [src/one]
    run: |
      test "$WHERE" = there
      test "$(ls src)" = one
      echo narrow > src/three
    agent: { node: here, network: none }
  - key: back
    use: [make, narrow]
    run: |
      test "$(cat src/link src/three)" = "$(printf 'one\\nnarrow')"
      test -x src/two
      tar -tf \${{ tasks.make.artifacts.all }} | grep src/two > /dev/null
      test -L \${{ tasks.make.artifacts.src }}/link
      echo "\${{ tasks.make.values.answer }} and the rest" | tee /dev/stderr
      rm src/two
    agent: { node: there, network: none }
  - key: last
    use: back
    run: test ! -e src/two && cat src/three
    agent: { node: here, network: none }`;
    const watched = mesh.start(here, yaml);
    const run = summaryOf(await watched.outcome);
    expect(run.tasks.flatMap(({ messages }) => messages)).toEqual([]);
    expect(outcomesOf(run)).toEqual({ make: "succeeded", narrow: "succeeded", back: "succeeded", last: "succeeded" });
    expect(placesOf(run)).toEqual({ make: "there", narrow: "here", back: "there", last: "here" });
    expect(watched.output()).toContain("17 and the rest");
    expect(taskOf(run, "make").outputs.artifacts.map(({ key }) => key)).toEqual(["all", "src"]);
    // nothing changed, so everything is known, wherever it is asked for
    const again = await mesh.run(mesh.machines[1] as (typeof mesh.machines)[1], yaml);
    expect(new Set(Object.values(outcomesOf(again)))).toEqual(new Set(["cacheHit"]));
  },
  60_000,
);
