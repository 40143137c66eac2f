import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { readMachineTraits } from "../../../src/mesh/io/read-traits.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { testIf } from "../../support/require.ts";

testIf(
  "linux",
  "readMachineTraits() reads what is the machine's own, not bridges, made-up addresses or nameless disks",
  () => {
    using folder = temporaryFolder();
    const files = {
      "etc/machine-id": "0123ABCD\n",
      "sys/class/dmi/id/product_uuid": "4C4C-4544\n",
      "sys/class/net/eth0/address": "52:54:00:12:34:56\n",
      "sys/class/net/eth0/addr_assign_type": "0\n",
      "sys/class/net/wlan0/address": "12:00:00:00:00:01\n",
      "sys/class/net/wlan0/addr_assign_type": "3\n",
      "sys/class/net/docker0/address": "02:42:00:00:00:01\n",
      "sys/class/net/docker0/addr_assign_type": "0\n",
      "sys/block/nvme0n1/wwid": "eui.0025385b\n",
      "sys/block/loop0/size": "0\n",
    };
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(folder.join(path)), { recursive: true });
      writeFileSync(folder.join(path), text);
    }
    for (const name of ["eth0", "wlan0"]) symlinkSync("..", folder.join(`sys/class/net/${name}/device`));
    expect(readMachineTraits(folder.path)).toEqual({
      machineId: "0123abcd",
      productUuid: "4c4c-4544",
      macAddresses: ["52:54:00:12:34:56"],
      diskSerials: ["eui.0025385b"],
    });
  },
);

test("readMachineTraits() finds nothing, and no fault, on a machine that shows nothing", () => {
  using folder = temporaryFolder();
  const traits = readMachineTraits(folder.path);
  expect({ ...traits, macAddresses: [] }).toEqual({
    machineId: null,
    productUuid: null,
    macAddresses: [],
    diskSerials: [],
  });
});
