import { expect, test } from "bun:test";
import { distinctName, freeNodeName, isNodeName, nodeNameFrom } from "../../src/mesh/node-name.ts";

test("isNodeName() takes DNS labels in lower case, and nothing that could be taken for something else", () => {
  for (const name of ["a", "pi-4", "0", "x".repeat(63), "node-2"]) expect(isNodeName(name)).toBe(true);
  const refused = [
    "",
    "-a",
    "a-",
    "A",
    "a_b",
    "a.b",
    "a b",
    "é",
    "x".repeat(64),
    "a\n",
    "pi-0123abcd",
    "../x",
    "a\u202eb",
  ];
  for (const name of refused) expect(isNodeName(name)).toBe(false);
});

test("nodeNameFrom() makes a name out of whatever a machine calls itself", () => {
  expect(nodeNameFrom("Anna's Laptop.local")).toBe("anna-s-laptop");
  expect(nodeNameFrom("pi4.example.org")).toBe("pi4");
  for (const text of ["", "...", "---", "日本", "host-0123abcd"]) expect(nodeNameFrom(text)).toBe("node");
  expect(isNodeName(nodeNameFrom("y".repeat(500)))).toBe(true);
});

test("freeNodeName() counts on until a name is free", () => {
  const taken = new Set(["pi", "pi-2", "x".repeat(63)]);
  const isTaken = (name: string) => taken.has(name);
  expect(freeNodeName("cat", isTaken)).toBe("cat");
  expect(freeNodeName("pi", isTaken)).toBe("pi-3");
  expect(isNodeName(freeNodeName("x".repeat(63), isTaken))).toBe(true);
});

test("distinctName() is no name that anybody could ask for, and none too long", () => {
  expect(distinctName("pi", "0123abcd")).toBe("pi-0123abcd");
  expect(isNodeName(distinctName("pi", "0123abcd"))).toBe(false);
  expect(distinctName("x".repeat(63), "0123abcd").length).toBe(63);
});
