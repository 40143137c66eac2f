import { describe, expect, test } from "bun:test";
import { fakeContext, runCommand } from "../fake/context.ts";
import { FakeMesh, peer } from "../fake/mesh.ts";

const NOTHING_SAID = { cpus: null, memory: null, gpus: null, labels: null, port: null };
const FOUND = {
  mesh: "abababab",
  nodes: [{ name: "attic", address: { host: "10.0.0.9", port: 7433 } }],
  inviting: true,
};

describe("mesh join", () => {
  test("joins with a code, then serves until it is stopped", async () => {
    const mesh = new FakeMesh({ membership: null, peers: [peer("attic"), peer("desk", { state: "self" })] });
    const said = await runCommand(fakeContext({ mesh }), "join", "k7q-m2x-dn4", "--name", "lap", "--cpus", "2");
    expect(said.code).toBe(0);
    expect(mesh.asked).toEqual([
      ["join", { address: null, code: "k7q-m2x-dn4", name: "lap" }],
      ["serve", { ...NOTHING_SAID, cpus: "2" }],
      ["served"],
    ]);
    expect(said.out.split("\n")).toEqual([
      "Joined mesh abababab as desk.",
      "desk serves mesh abababab at 10.0.0.1:7433.",
      "attic (22222222) is up",
      "Stopping: its tasks end or go elsewhere. Ctrl-C again ends it now.",
      "",
    ]);
  });

  test("goes to an address where multicast is dead", async () => {
    const mesh = new FakeMesh({ membership: null });
    await runCommand(fakeContext({ mesh }), "join", "[fe80::1%eth0]:7000", "code", "--detach");
    expect(mesh.asked).toEqual([
      ["join", { address: { host: "fe80::1%eth0", port: 7000 }, code: "code", name: null }],
      ["start", NOTHING_SAID],
    ]);
  });

  test("lists the meshes it finds and reads the code from standard input", async () => {
    const mesh = new FakeMesh({ membership: null, found: [FOUND] });
    const said = await runCommand(fakeContext({ mesh, input: " typed-code \n" }), "join", "--detach");
    expect(mesh.asked[0]).toEqual(["join", { address: null, code: "typed-code", name: null }]);
    expect(said.out).toContain("Found a mesh:\n  mesh abababab: attic at 10.0.0.9:7433\n");
  });

  test("makes a mesh where there is none, and prints a code for the next machine", async () => {
    const mesh = new FakeMesh({ membership: null });
    const said = await runCommand(fakeContext({ mesh }), "join");
    expect(mesh.asked.map(([what]) => what)).toEqual(["init", "serve", "invite", "served"]);
    expect(said.out).toContain("Found no mesh here, so made mesh abababab as desk.\n");
    expect(said.out).toContain("    mesh join k7q-m2x-dn4\n");
    expect(said.out).toContain("mesh join 10.0.0.1:7433 k7q-m2x-dn4\n");
  });

  test("of a member just serves; with a code it is a mistake", async () => {
    const mesh = new FakeMesh();
    await runCommand(fakeContext({ mesh }), "join");
    expect(mesh.asked.map(([what]) => what)).toEqual(["serve", "served"]);
    expect((await runCommand(fakeContext({ mesh }), "join", "code")).error?.code).toBe("mesh.already-a-member");
  });

  test("says what it cannot read", async () => {
    const context = () => fakeContext({ mesh: new FakeMesh({ membership: null, found: [FOUND] }) });
    expect((await runCommand(context(), "join", "desk", "code")).error?.message).toContain('"desk": HOST:PORT');
    expect((await runCommand(context(), "join", "--port", "70000")).error?.message).toContain("port 70000");
    expect((await runCommand(context(), "join")).error?.message).toContain("standard input");
  });
});

describe("mesh up and mesh down", () => {
  test("start and stop the node in the background", async () => {
    const mesh = new FakeMesh();
    const up = await runCommand(fakeContext({ mesh }), "up", "--gpus", "none", "--port", "7000");
    expect(up.out).toBe("desk serves mesh abababab at 10.0.0.1:7433 (process 42).\n");
    expect((await runCommand(fakeContext({ mesh }), "down")).code).toBe(0);
    expect(mesh.asked).toEqual([["start", { ...NOTHING_SAID, gpus: "none", port: 7000 }], ["stop"]]);
  });

  test("mesh down says that no node runs", async () => {
    expect((await runCommand(fakeContext({ mesh: new FakeMesh() }), "down")).error?.code).toBe("node.not-running");
  });
});

test("mesh init and mesh leave make and forget a membership", async () => {
  const mesh = new FakeMesh({ membership: null });
  expect((await runCommand(fakeContext({ mesh }), "init", "--name", "desk")).out).toStartWith("Made mesh abababab,");
  expect((await runCommand(fakeContext({ mesh }), "leave")).out).toBe("Left mesh abababab.\n");
  await runCommand(fakeContext({ mesh }), "leave", "--new-identity");
  expect(mesh.asked).toEqual([
    ["init", "desk"],
    ["leave", { newIdentity: false }],
    ["leave", { newIdentity: true }],
  ]);
});
