import { expect, test } from "bun:test";
import { makeStyle, wantsColour } from "../../../src/cli/text/style.ts";

test("wantsColour() obeys NO_COLOR before all, then CLICOLOR_FORCE, then the terminal", () => {
  expect(wantsColour({ TERM: "xterm" }, true)).toBe(true);
  expect(wantsColour({ TERM: "xterm" }, false)).toBe(false);
  expect(wantsColour({ TERM: "dumb" }, true)).toBe(false);
  expect(wantsColour({ CLICOLOR: "0" }, true)).toBe(false);
  expect(wantsColour({ CLICOLOR_FORCE: "1" }, false)).toBe(true);
  expect(wantsColour({ CLICOLOR_FORCE: "0" }, false)).toBe(false);
  expect(wantsColour({ NO_COLOR: "1", CLICOLOR_FORCE: "1" }, true)).toBe(false);
  expect(wantsColour({ NO_COLOR: "" }, true)).toBe(true);
});

test("makeStyle() paints only when colours are wanted", () => {
  expect(makeStyle(false).red("x")).toBe("x");
  expect(makeStyle(true).red("x")).toBe("\u001b[31mx\u001b[39m");
  expect(makeStyle(true).red("")).toBe("");
});
