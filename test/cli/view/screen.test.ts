import { describe, expect, test } from "bun:test";
import { Screen } from "../../../src/cli/view/screen.ts";
import { FakeTerminal } from "../fake/terminal.ts";

describe("Screen", () => {
  test("draws over the picture before and leaves nothing of it", () => {
    const terminal = new FakeTerminal(40, 10);
    const screen = new Screen(terminal);
    screen.update([], ["first line", "second", "third"]);
    expect(terminal.cursorHidden).toBe(true);
    screen.update(["stays"], ["1st", "2"]);
    expect(terminal.lines).toEqual(["stays", "1st", "2"]);
    screen.close(["the end"]);
    expect(terminal.lines).toEqual(["stays", "the end", ""]);
    expect(terminal.cursorHidden).toBe(false);
  });

  test("writes nothing when nothing changed, and once for each change", () => {
    const terminal = new FakeTerminal(40, 10);
    const screen = new Screen(terminal);
    screen.update([], ["a", "b"]);
    screen.update([], ["a", "b"]);
    expect(terminal.writes).toBe(1);
    screen.update(["x", "y"], ["a", "c"]);
    expect(terminal.writes).toBe(2);
    expect(terminal.lines).toEqual(["x", "y", "a", "c"]);
  });

  test("finds its top again when the terminal became narrower and wrapped the picture", () => {
    const terminal = new FakeTerminal(20, 10);
    const screen = new Screen(terminal);
    screen.update(["stays"], ["0123456789", "abcdefghij"]);
    // what a terminal does with its lines when it gets narrower
    const narrow = new FakeTerminal(5, 10);
    narrow.write("stays\n0123456789\nabcdefghij");
    terminal.columns = 5;
    const seen: string[] = [];
    terminal.write = (text) => {
      seen.push(text);
      narrow.write(text);
    };
    screen.update([], ["ab", "cd"]);
    expect(narrow.lines).toEqual(["stays", "ab", "cd"]);
    expect(seen).toHaveLength(1);
  });

  test("close() without a picture prints the lines alone", () => {
    const terminal = new FakeTerminal(40, 10);
    new Screen(terminal).close(["only this"]);
    expect(terminal.lines).toEqual(["only this", ""]);
  });
});
