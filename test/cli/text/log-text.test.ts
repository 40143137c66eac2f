import { describe, expect, test } from "bun:test";
import { LineSplitter, showLine } from "../../../src/cli/text/log-text.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("showLine()", () => {
  test("keeps colours and closes them", () => {
    expect(showLine("\u001b[31mred", true)).toBe("\u001b[31mred\u001b[0m");
    expect(showLine("\u001b[31mred", false)).toBe("red");
  });

  test("takes out what moves the cursor or talks to the terminal", () => {
    expect(
      showLine("a\u001b[2Jb\u001b[10;10Hc\u001b]0;title\u0007d\u001b]52;c;AAAA\u001b\\e\u001b7f\u009bg", true),
    ).toBe("abcdefg");
    expect(showLine("\u001b[?1049hx\u001bPq\u001b\\y\u001b", true)).toBe("xy");
  });

  test("shows a line that was overwritten as it stood last", () => {
    expect(showLine("10%\r50%\r100%", false)).toBe("100%");
    expect(showLine("done\r", false)).toBe("done");
  });

  test("takes out bidirectional overrides and turns tabs to spaces", () => {
    expect(showLine("a\u202eb\tc", false)).toBe("ab    c");
    expect(showLine("a\tb", false)).toBe("a    b");
  });
});

describe("LineSplitter", () => {
  test("joins pieces, also inside a character", () => {
    const splitter = new LineSplitter();
    const all = bytes("añb\nc");
    expect([...splitter.push(all.slice(0, 2)), ...splitter.push(all.slice(2)), ...splitter.end()]).toEqual([
      "añb",
      "c",
    ]);
  });

  test("gives a line without end out in pieces", () => {
    const splitter = new LineSplitter();
    expect(splitter.push(bytes("x".repeat(40_000)))).toHaveLength(1);
    expect(splitter.end()).toEqual([]);
  });
});
