import { expect, test } from "bun:test";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { MeshError } from "../../../src/base/errors.ts";
import { forgetRoster, loadRoster, saveRoster } from "../../../src/mesh/io/roster-file.ts";
import { admit, copyOf, founded, machine, NOW_MS } from "../../fake/mesh-rosters.ts";
import { SeededRandom } from "../../fake/seeded-random.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const FOUNDER = machine(0);

function codeOf(act: () => unknown): string | null {
  try {
    act();
    return null;
  } catch (error) {
    if (error instanceof MeshError) return error.code;
    throw error;
  }
}

test("loadRoster() gives back what saveRoster() saved, in one file that is the owner's alone", () => {
  using folder = temporaryFolder();
  const place = folder.join("mesh");
  const roster = founded(FOUNDER);
  admit(roster, { by: FOUNDER, node: machine(1), name: "pi", expiresAtMs: NOW_MS + 1 });
  saveRoster(place, roster);
  const loaded = loadRoster(place);
  expect(loaded?.mesh).toBe(roster.mesh);
  expect(loaded?.members(NOW_MS)).toEqual(roster.members(NOW_MS));
  expect(readdirSync(place)).toEqual(["roster.bin"]);
  expect(statSync(folder.join("mesh", "roster.bin")).mode & 0o777).toBe(0o600);
  forgetRoster(place);
  expect(loadRoster(place)).toBeNull();
});

test("saveRoster() keeps what another process saved meanwhile, and drops another mesh", () => {
  using folder = temporaryFolder();
  const place = folder.join("mesh");
  const roster = founded(FOUNDER);
  const other = copyOf(roster);
  admit(roster, { by: FOUNDER, node: machine(1), name: "one" });
  admit(other, { by: FOUNDER, node: machine(2), name: "two" });
  saveRoster(place, roster);
  saveRoster(place, other);
  expect(
    loadRoster(place)
      ?.members(NOW_MS)
      .map(({ verdict }) => verdict),
  ).toMatchObject(other.members(NOW_MS).map(({ verdict }) => verdict));
  expect(other.byName("one")).toBe(machine(1).id);
  const another = founded(machine(9));
  saveRoster(place, another);
  expect(loadRoster(place)?.mesh).toBe(another.mesh);
});

test("loadRoster() says that a damaged roster is damaged, wherever it is", () => {
  using folder = temporaryFolder();
  const place = folder.join("mesh");
  saveRoster(place, founded(FOUNDER));
  const file = folder.join("mesh", "roster.bin");
  const good = readFileSync(file);
  const random = new SeededRandom(3);
  for (let round = 0; round < 100; round++) {
    const bad = Buffer.from(good);
    const at = random.below(bad.length);
    bad[at] = (bad[at] ?? 0) ^ (1 << random.below(8));
    writeFileSync(file, bad);
    expect(codeOf(() => loadRoster(place))).toBe("mesh.state-corrupt");
  }
  for (const length of [0, 10, 32, good.length - 1]) {
    writeFileSync(file, good.subarray(0, length));
    expect(codeOf(() => loadRoster(place))).toBe("mesh.state-corrupt");
  }
  writeFileSync(file, good);
  chmodSync(file, 0o644);
  expect(codeOf(() => loadRoster(place))).toBe("mesh.state-exposed");
});
