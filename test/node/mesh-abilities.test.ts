import { expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { makeMesh } from "../../src/node/membership.ts";
import { meshAbilities } from "../../src/node/mesh-abilities.ts";
import type { NodeStatus } from "../../src/node/node-service.ts";
import { temporaryFolder } from "../support/temporary.ts";

const RUNNING = { addresses: [{ host: "10.0.0.1", port: 7433 }] } as unknown as NodeStatus;

async function identityIn(home: string) {
  return (await meshAbilities(home, RUNNING)).find(({ name }) => name === "mesh-identity");
}

test("meshAbilities() says what this machine is in a mesh", async () => {
  using folder = temporaryFolder();
  expect(await identityIn(folder.path)).toMatchObject({
    holds: true,
    detail: "in none; `mesh join` joins or makes one",
  });
  makeMesh(folder.path, "desk");
  expect(await identityIn(folder.path)).toMatchObject({ holds: true, detail: "desk: admin, submitter, worker" });
});

test("meshAbilities() says what is wrong with an identity, and what to do", async () => {
  using folder = temporaryFolder();
  makeMesh(folder.path, "desk");
  chmodSync(folder.join("mesh/identity.json"), 0o644);
  const ability = await identityIn(folder.path);
  expect(ability?.holds).toBe(false);
  expect(ability?.remedy).not.toBe("");
});

test("meshAbilities() knows its own node's port", async () => {
  using folder = temporaryFolder();
  const port = (await meshAbilities(folder.path, RUNNING)).find(({ name }) => name === "mesh-port");
  expect(port).toMatchObject({ holds: true, detail: "this machine's node has it" });
});
