import { describe, expect, test } from "bun:test";
import {
  BASE_ENVIRONMENT,
  NO_VARIABLES,
  type Variables,
  composeEnvironment,
  exportVariables,
  inheritVariables,
} from "../../src/node/task-environment.ts";
import type { EnvConfig } from "../../src/spec/definition.ts";

const CONFIG: EnvConfig = { inherit: "all-used-tasks", merge: {} };

function variables(
  values: Readonly<Record<string, string>>,
  cacheKey: "included" | "excluded" = "included",
): Variables {
  return new Map(Object.entries(values).map(([name, value]) => [name, { value, cacheKey }]));
}
const valuesOf = (given: Variables) => Object.fromEntries([...given].map(([name, { value }]) => [name, value]));

describe("inheritVariables()", () => {
  const used = [
    { key: "a", variables: variables({ X: "1", PATH: "/a", L: "p" }) },
    { key: "b", variables: variables({ X: "2", PATH: "/b:/a", L: "q" }) },
  ];

  test("inheritVariables() lets the later task win, and joins PATH with the later first", () => {
    expect(valuesOf(inheritVariables(used, CONFIG))).toEqual({ X: "2", PATH: "/b:/a", L: "q" });
  });

  test("inheritVariables() joins or overrides as the definition says", () => {
    const config = {
      ...CONFIG,
      merge: { L: { strategy: "join", by: "," }, PATH: { strategy: "override" } },
    } as EnvConfig;
    expect(valuesOf(inheritVariables(used, config))).toEqual({ X: "2", PATH: "/b:/a", L: "p,q" });
  });

  test("inheritVariables() takes from the tasks that the definition names", () => {
    expect(valuesOf(inheritVariables(used, { ...CONFIG, inherit: ["a"] }))).toEqual({ X: "1", PATH: "/a", L: "p" });
    expect(inheritVariables(used, { ...CONFIG, inherit: [] })).toBe(NO_VARIABLES);
  });

  test("inheritVariables() counts a joined value when one of its parts counts", () => {
    const mixed = [
      { key: "a", variables: variables({ PATH: "/a" }, "excluded") },
      { key: "b", variables: variables({ PATH: "/b" }) },
    ];
    expect(inheritVariables(mixed, CONFIG).get("PATH")).toEqual({ value: "/b:/a", cacheKey: "included" });
  });
});

test("exportVariables() puts an own PATH before the inherited one, and shares what nothing was added to", () => {
  const inherited = variables({ PATH: "/a", X: "1" });
  expect(valuesOf(exportVariables(inherited, variables({ PATH: "/own", Y: "2" }), CONFIG))).toEqual({
    PATH: "/own:/a",
    X: "1",
    Y: "2",
  });
  expect(exportVariables(inherited, NO_VARIABLES, CONFIG)).toBe(inherited);
});

describe("composeEnvironment()", () => {
  test("composeEnvironment() ends PATH with the system's, and lets the definition win", () => {
    const environment = composeEnvironment(variables({ PATH: "/tool/bin", X: "1" }), [{ name: "X", value: "2" }]);
    expect(environment).toMatchObject({ ...BASE_ENVIRONMENT, X: "2" });
    expect(environment["PATH"]).toMatch(/^\/tool\/bin:\/usr\/local\/sbin:.*:\/bin$/);
  });

  test("composeEnvironment() refuses a NUL character", () => {
    expect(() => composeEnvironment(NO_VARIABLES, [{ name: "X", value: "a\0b" }])).toThrow("NUL");
  });
});
