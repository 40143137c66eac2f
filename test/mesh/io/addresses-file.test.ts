import { describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { peerIdOf } from "../../../src/base/ids.ts";
import { forgetAddresses, loadAddresses, saveAddresses } from "../../../src/mesh/io/addresses-file.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const PEER = peerIdOf(new Uint8Array(32).fill(1));
const REMEMBERED = [{ peer: PEER, addresses: [{ host: "10.0.0.1", port: 7433 }] }];

describe("loadAddresses()", () => {
  test("reads what saveAddresses() wrote, in a file of this user alone", () => {
    using folder = temporaryFolder();
    expect(loadAddresses(folder.join("mesh"))).toEqual([]);
    saveAddresses(folder.join("mesh"), REMEMBERED);
    expect(loadAddresses(folder.join("mesh"))).toEqual(REMEMBERED);
    expect(statSync(folder.join("mesh", "addresses.json")).mode & 0o777).toBe(0o600);
    forgetAddresses(folder.join("mesh"));
    expect(loadAddresses(folder.join("mesh"))).toEqual([]);
  });

  test("passes over what is damaged", () => {
    using folder = temporaryFolder();
    saveAddresses(folder.join("mesh"), REMEMBERED);
    const path = folder.join("mesh", "addresses.json");
    for (const text of ["", "{", "null", "[]", '{"version":2,"peers":[]}', '{"version":1,"peers":[null]}']) {
      writeFileSync(path, text);
      expect(loadAddresses(folder.join("mesh"))).toEqual([]);
    }
    const mixed = { version: 1, peers: [{ peer: "x" }, { peer: PEER, addresses: [{ host: "box", port: 1 }, null] }] };
    writeFileSync(path, JSON.stringify(mixed));
    expect(loadAddresses(folder.join("mesh"))).toEqual([{ peer: PEER, addresses: [] }]);
  });
});
