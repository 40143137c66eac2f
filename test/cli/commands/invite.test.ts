import { describe, expect, test } from "bun:test";
import type { PeerId } from "../../../src/base/ids.ts";
import { fakeContext, runCommand } from "../fake/context.ts";
import { FakeMesh } from "../fake/mesh.ts";

describe("mesh invite", () => {
  test("prints what to type, and who came", async () => {
    const mesh = new FakeMesh({ inviteEnd: { kind: "joined", name: "lap", peer: "33".repeat(32) as PeerId } });
    const said = await runCommand(fakeContext({ mesh }), "invite", "--admin", "--for", "1h");
    expect(said.code).toBe(0);
    expect(mesh.asked).toEqual([
      ["invite", { roles: ["worker", "submitter", "admin"], ttlMs: 3_600_000, memberForMs: null }],
    ]);
    expect(said.out).toBe(
      "On the other machine, within 10m 00s:\n\n    mesh join k7q-m2x-dn4\n\nWhere multicast does not reach: mesh join 10.0.0.1:7433 k7q-m2x-dn4\nlap (33333333) joined.\n",
    );
  });

  test("exits with 4 when nobody came, or a wrong code burnt it", async () => {
    const burnt = await runCommand(fakeContext({ mesh: new FakeMesh({ inviteEnd: { kind: "burnt" } }) }), "invite");
    expect([burnt.code, burnt.out.includes("void")]).toEqual([4, true]);
    expect((await runCommand(fakeContext({ mesh: new FakeMesh() }), "invite")).code).toBe(4);
  });

  test("--no-wait needs a node that stays", async () => {
    const refused = await runCommand(fakeContext({ mesh: new FakeMesh() }), "invite", "--no-wait");
    expect(refused.error?.code).toBe("node.not-running");
    const said = await runCommand(
      fakeContext({ mesh: new FakeMesh({ running: true }) }),
      "invite",
      "--no-wait",
      "--json",
    );
    expect(JSON.parse(said.out)).toEqual({
      code: "k7q-m2x-dn4",
      roles: ["worker", "submitter"],
      expiresAt: "2026-01-01T00:15:00.000Z",
      memberForMs: null,
    });
  });

  test("--member-for ends the membership by itself, but not an admin's", async () => {
    const mesh = new FakeMesh();
    await runCommand(fakeContext({ mesh }), "invite", "--submit-only", "--member-for", "7d");
    const [, wish] = mesh.asked[0] ?? [];
    expect(wish).toMatchObject({ roles: ["submitter"], memberForMs: 7 * 24 * 3_600_000 });
    const refused = await runCommand(fakeContext({ mesh }), "invite", "--admin", "--member-for", "7d");
    expect(refused.error?.message).toContain("--member-for");
    expect((await runCommand(fakeContext({ mesh }), "invite", "--member-for", "soon")).error?.message).toContain("7d");
  });

  test("says what it cannot read", async () => {
    const said = (...words: string[]) => runCommand(fakeContext({ mesh: new FakeMesh() }), "invite", ...words);
    expect((await said("--for", "forever")).error?.message).toContain("--for");
    expect((await said("--for", "48h")).error?.message).toContain("--for");
    expect((await said("--admin", "--submit-only")).error?.message).toContain("--submit-only");
  });
});
