import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { probeAbilities } from "../../../src/oci/io/probe.ts";
import { CONTEXTS } from "../../support/abilities.ts";
import { testIf } from "../../support/require.ts";

testIf(
  CONTEXTS,
  "probeAbilities() tells each ability once, with a remedy for what is missing, and leaves nothing",
  async () => {
    const home = mkdtempSync(join(tmpdir(), "mesh-probe-"));
    const abilities = await probeAbilities({ home });
    const ids = abilities.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(abilities.filter(({ ok }) => ok).map(({ id }) => id)).toEqual(
      expect.arrayContaining(["user-namespaces", "store-filesystem", "context", "seccomp"]) as string[],
    );
    expect(abilities.filter(({ ok, remedy, id }) => !ok && remedy === null && id !== "gpu")).toEqual([]);
    expect(readdirSync(home)).toEqual([]);
    rmSync(home, { recursive: true });
  },
);

test("probeAbilities() explains a home that can't be used", async () => {
  const abilities = await probeAbilities({ home: "/proc/no-home" });
  const failed = abilities.filter(({ ok }) => !ok).map(({ id }) => id);
  expect(failed).toEqual(expect.arrayContaining(["store-filesystem", "context", "free-space"]) as string[]);
});
