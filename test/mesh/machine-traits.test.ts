import { expect, test } from "bun:test";
import { compareTraits, type MachineTraits, parseSealedTraits, sealTraits } from "../../src/mesh/machine-traits.ts";

const MACHINE: MachineTraits = {
  machineId: "0123456789abcdef0123456789abcdef",
  productUuid: "4c4c4544-0042",
  macAddresses: ["52:54:00:12:34:56", "52:54:00:12:34:57"],
  diskSerials: ["eui.0025385b"],
};
const SALT = new Uint8Array(16).fill(3);

function compare(found: Partial<MachineTraits>, kept: Partial<MachineTraits> = {}) {
  return compareTraits(sealTraits({ ...MACHINE, ...kept }, SALT), sealTraits({ ...MACHINE, ...found }, SALT));
}

test("compareTraits() knows a machine again after any one of its parts was changed", () => {
  expect(compare({})).toEqual({
    same: true,
    matching: ["machine id", "mainboard", "network interfaces", "disks"],
    differing: [],
  });
  expect(compare({ machineId: "another" }).same).toBe(true);
  expect(compare({ productUuid: "another" }).same).toBe(true);
  expect(compare({ macAddresses: ["another"] }).same).toBe(true);
  expect(compare({ diskSerials: ["another"] }).same).toBe(true);
  expect(compare({ macAddresses: ["52:54:00:12:34:57", "new"] }).differing).toEqual([]);
});

test("compareTraits() takes a cloned virtual machine and a moved disk for another machine", () => {
  expect(compare({ productUuid: "other", macAddresses: ["other"], diskSerials: [] })).toEqual({
    same: false,
    matching: ["machine id"],
    differing: ["mainboard", "network interfaces"],
  });
  // An ordinary user cannot read the mainboard's id: one against one is no majority.
  expect(compare({ productUuid: null, macAddresses: ["other"], diskSerials: [] }).same).toBe(false);
  expect(compare({ productUuid: "other", macAddresses: ["other"] }).same).toBe(false);
});

test("compareTraits() learns nothing from a trait that cannot be read, then or today", () => {
  expect(compare({ productUuid: null }).same).toBe(true);
  expect(compare({}, { productUuid: null }).same).toBe(true);
  const none: MachineTraits = { machineId: null, productUuid: null, macAddresses: [], diskSerials: [] };
  expect(compare(none)).toEqual({ same: true, matching: [], differing: [] });
});

test("sealTraits() shows neither a trait nor that two machines share one", () => {
  const sealed = sealTraits(MACHINE, SALT);
  const text = JSON.stringify(sealed);
  expect(text).not.toContain(MACHINE.machineId ?? "");
  expect(text).not.toContain("52:54");
  expect(sealTraits(MACHINE, new Uint8Array(16)).machineId).not.toEqual(sealed.machineId);
  expect(sealTraits({ ...MACHINE, productUuid: MACHINE.machineId }, SALT).productUuid).not.toEqual(sealed.machineId);
});

test("parseSealedTraits() takes what sealTraits() made and refuses other forms", () => {
  const sealed = sealTraits(MACHINE, SALT);
  expect(parseSealedTraits(JSON.parse(JSON.stringify(sealed)))).toEqual(sealed);
  for (const bad of [
    null,
    1,
    {},
    { ...sealed, machineId: "x" },
    { ...sealed, diskSerials: ["x"] },
    { ...sealed, macAddresses: [1] },
  ]) {
    expect(parseSealedTraits(bad)).toBeNull();
  }
});
