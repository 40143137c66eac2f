import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { systemRandom } from "../../../src/base/io/system.ts";
import {
  ensureIdentity,
  forgetIdentity,
  type IdentityPlace,
  loadIdentity,
  rebindIdentity,
} from "../../../src/mesh/io/identity-file.ts";
import type { MachineTraits } from "../../../src/mesh/machine-traits.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const HERE: MachineTraits = {
  machineId: "aaaa",
  productUuid: null,
  macAddresses: ["52:54:00:12:34:56"],
  diskSerials: ["disk-1"],
};
const ELSEWHERE: MachineTraits = { ...HERE, macAddresses: ["52:54:00:00:00:01"], diskSerials: ["disk-2"] };

function codeOf(act: () => unknown): string {
  try {
    act();
    return "none";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

function placeIn(folder: { join(part: string): string }, traits = HERE): IdentityPlace {
  return { folder: folder.join("mesh"), traits };
}

test("ensureIdentity() makes an identity once, in files that are the owner's alone", () => {
  using folder = temporaryFolder();
  const place = placeIn(folder);
  const made = ensureIdentity(place, systemRandom);
  expect(ensureIdentity(place, systemRandom).id).toBe(made.id);
  expect(loadIdentity(place)?.id).toBe(made.id);
  expect(statSync(place.folder).mode & 0o777).toBe(0o700);
  expect(readdirSync(place.folder)).toEqual(["identity.json"]);
  expect(statSync(folder.join("mesh", "identity.json")).mode & 0o777).toBe(0o600);
});

test("loadIdentity() gives nothing where none was made, and after forgetIdentity() another one is made", () => {
  using folder = temporaryFolder();
  const place = placeIn(folder);
  expect(loadIdentity(place)).toBeNull();
  const first = ensureIdentity(place, systemRandom);
  forgetIdentity(place.folder);
  expect(loadIdentity(place)).toBeNull();
  expect(ensureIdentity(place, systemRandom).id).not.toBe(first.id);
});

test("loadIdentity() refuses an identity that was copied to another machine and says what differs", () => {
  using folder = temporaryFolder();
  ensureIdentity(placeIn(folder), systemRandom);
  const load = () => loadIdentity(placeIn(folder, ELSEWHERE));
  expect(codeOf(load)).toBe("mesh.identity-copied");
  expect(load).toThrow(
    /made on a machine with another network interfaces and disks, though it has the same machine id/,
  );
});

test("rebindIdentity() lets the owner keep the identity of a machine that got new parts", () => {
  using folder = temporaryFolder();
  const made = ensureIdentity(placeIn(folder), systemRandom);
  rebindIdentity(placeIn(folder, ELSEWHERE), systemRandom);
  expect(loadIdentity(placeIn(folder, ELSEWHERE))?.id).toBe(made.id);
  expect(codeOf(() => loadIdentity(placeIn(folder)))).toBe("mesh.identity-copied");
});

test("loadIdentity() refuses a file or a folder that others can get at, and a link", () => {
  using folder = temporaryFolder();
  const place = placeIn(folder);
  ensureIdentity(place, systemRandom);
  const file = folder.join("mesh", "identity.json");
  for (const mode of [0o640, 0o604, 0o620, 0o610]) {
    chmodSync(file, mode);
    expect(codeOf(() => loadIdentity(place))).toBe("mesh.state-exposed");
  }
  chmodSync(file, 0o600);
  chmodSync(place.folder, 0o755);
  expect(codeOf(() => ensureIdentity(place, systemRandom))).toBe("mesh.state-exposed");
  mkdirSync(folder.join("other"), { mode: 0o700 });
  symlinkSync(file, folder.join("other", "identity.json"));
  expect(codeOf(() => loadIdentity({ ...place, folder: folder.join("other") }))).toBe("mesh.state-exposed");
});

test("loadIdentity() says that a damaged file is damaged and never shows the key", () => {
  using folder = temporaryFolder();
  const place = placeIn(folder);
  ensureIdentity(place, systemRandom);
  const file = folder.join("mesh", "identity.json");
  const text = readFileSync(file, "utf8");
  const seed = (JSON.parse(text) as { seed: string }).seed;
  const damages = [
    "",
    "{}",
    "null",
    text.slice(0, text.length >> 1),
    text.replace(seed, seed.slice(1)),
    text.replace(seed, "0".repeat(64)),
    text.replace('"version":1', '"version":2'),
    `${" ".repeat(70_000)}${text}`,
  ];
  for (const damage of damages) {
    writeFileSync(file, damage);
    expect(codeOf(() => loadIdentity(place))).toBe("mesh.state-corrupt");
    expect(() => loadIdentity(place)).not.toThrow(new RegExp(seed.slice(2, 20)));
  }
});
