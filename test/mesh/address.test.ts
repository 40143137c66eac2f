import { describe, expect, test } from "bun:test";
import {
  formatAddress,
  interleaveFamilies,
  isIpv6,
  isTellable,
  parseAddress,
  readAddress,
} from "../../src/mesh/address.ts";

describe("parseAddress()", () => {
  const good = {
    "10.0.0.7": { host: "10.0.0.7", port: 7433 },
    "10.0.0.7:81": { host: "10.0.0.7", port: 81 },
    "box.local": { host: "box.local", port: 7433 },
    "box-2:99": { host: "box-2", port: 99 },
    "fe80::1%eth0": { host: "fe80::1%eth0", port: 7433 },
    "[fd77::b]:8000": { host: "fd77::b", port: 8000 },
    "[::1]": { host: "::1", port: 7433 },
  };
  for (const [text, address] of Object.entries(good))
    test(`reads ${text}`, () => {
      expect(parseAddress(text, 7433)).toEqual(address);
    });

  for (const text of [
    "",
    "10.0.0",
    "10.0.0.256",
    "1.2.3.4.",
    "a b",
    "box:0",
    "box:65536",
    "[box]:1",
    "[fd77::b",
    "-x",
    "http://x",
  ])
    test(`refuses ${JSON.stringify(text)}`, () => {
      expect(parseAddress(text, 7433)).toBeNull();
    });

  test("reads what formatAddress() writes", () => {
    for (const address of Object.values(good)) expect(parseAddress(formatAddress(address), 1)).toEqual(address);
  });
});

describe("isIpv6()", () => {
  for (const host of ["::", "::1", "1::", "fd77::b", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1", "fe80::1%eth0.5"])
    test(`takes ${host}`, () => {
      expect(isIpv6(host)).toBe(true);
    });
  for (const host of [
    ":",
    "1",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    ":::",
    "12345::",
    "fe80::1%",
    "fe80::1%a/b",
    "g::",
  ])
    test(`refuses ${host}`, () => {
      expect(isIpv6(host)).toBe(false);
    });
});

describe("readAddress()", () => {
  test("takes numbers of one machine only", () => {
    expect(readAddress({ host: "10.0.0.7", port: 1 })).toEqual({ host: "10.0.0.7", port: 1 });
    const wrong = ["0.0.0.0", "224.0.0.251", "255.255.255.255", "ff02::fb", "::", "box.local", "", "1.2.3"];
    expect(wrong.map((host) => readAddress({ host, port: 1 }))).toEqual(wrong.map(() => null));
    for (const port of [0, -1, 1.5, 65_536, "1", null, Number.NaN])
      expect(readAddress({ host: "10.0.0.7", port })).toBeNull();
    for (const value of [null, 1, "10.0.0.7:1", [], {}, { host: "10.0.0.7" }]) expect(readAddress(value)).toBeNull();
  });
});

test("isTellable() keeps back what other machines could not use", () => {
  const hosts = ["10.0.0.1", "fd77::b", "127.0.0.1", "::1", "fe80::1%eth0", "169.254.1.1"];
  expect(hosts.filter((host) => isTellable({ host, port: 1 }))).toEqual(["10.0.0.1", "fd77::b"]);
});

test("interleaveFamilies() lets the families take turns, the first one's first", () => {
  const [a, b, c, d] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd77::d"].map((host) => ({ host, port: 1 }));
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("four");
  expect(interleaveFamilies([a, b, c, d])).toEqual([a, d, b, c]);
  expect(interleaveFamilies([d, a, b])).toEqual([d, a, b]);
  expect(interleaveFamilies([])).toEqual([]);
});
