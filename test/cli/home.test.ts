import { expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { resolveHome } from "../../src/cli/home.ts";

test("resolveHome() takes MESH_HOME, then an absolute XDG_DATA_HOME, then HOME", () => {
  expect(resolveHome({ MESH_HOME: "/m/", XDG_DATA_HOME: "/x", HOME: "/h" })).toBe("/m");
  expect(resolveHome({ MESH_HOME: "", XDG_DATA_HOME: "/x", HOME: "/h" })).toBe("/x/mesh");
  expect(resolveHome({ XDG_DATA_HOME: "relative", HOME: "/h" })).toBe("/h/.local/share/mesh");
  expect(resolveHome({ MESH_HOME: "here" })).toBe(`${process.cwd()}/here`);
  expect(() => resolveHome({})).toThrow(MeshError);
});
