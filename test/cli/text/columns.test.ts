import { expect, test } from "bun:test";
import { cut, pad, tableLines } from "../../../src/cli/text/columns.ts";

test("cut() counts columns, not characters, and keeps colours closed", () => {
  expect(cut("abcdef", 4)).toBe("abc…");
  expect(cut("日本語日本", 5)).toBe("日本…");
  expect(Bun.stringWidth(cut("\u001b[31mabcdef\u001b[39m", 4))).toBe(4);
  expect(cut("\u001b[31mabcdef\u001b[39m", 4)).toEndWith("\u001b[39m");
  expect(cut("abc", 0)).toBe("");
});

test("pad() fills to a width on either side", () => {
  expect(pad("日", 4)).toBe("日  ");
  expect(pad("7", 3, "right")).toBe("  7");
  expect(pad("long", 2)).toBe("long");
});

test("tableLines() aligns columns and leaves no trailing blanks", () => {
  const columns = [{ title: "KEY" }, { title: "MS", align: "right" }, { title: "NOTE", most: 5 }] as const;
  expect(
    tableLines(
      columns,
      [
        ["a", "5", ""],
        ["long", "1200", "too long"],
      ],
      (text) => text,
    ),
  ).toEqual(["KEY     MS  NOTE", "a        5", "long  1200  too …"]);
});
