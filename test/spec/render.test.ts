import { describe, expect, test } from "bun:test";
import { parseDefinition } from "../../src/spec/parse.ts";
import { renderDiagnostics } from "../../src/spec/render.ts";
import { task } from "./marked.ts";

function render(text: string, colour = false): string {
  return renderDiagnostics(parseDefinition(text, { file: "tasks.yml" }).diagnostics, {
    file: "tasks.yml",
    text,
    colour,
  });
}

describe("renderDiagnostics()", () => {
  test("shows place, line, carets and advice", () => {
    expect(render(task("run: echo", "filtr: [src]", "use: nobody"))).toBe(
      [
        'tasks.yml:4:5: error: Unknown key "filtr" in a command task (one with `run`) [unknown-key]',
        " 4 |     filtr: [src]",
        "   |     ^^^^^",
        '   = Did you mean "filter"? Allowed here: after, agent, auto-cancel, background-processes, bootstrapping, cache, docker, env, env-config, filter, health-timeout, if, key, outputs, parallel, retry, run, runner, terminate-grace-period-seconds, timeout, timeout-minutes, tool-cache, use.',
        "",
        'tasks.yml:5:10: error: There is no task "nobody", which `use` names [unknown-task]',
        " 5 |     use: nobody",
        "   |          ^^^^^^",
      ].join("\n"),
    );
  });

  test("puts carets under wide characters and shows control characters", () => {
    const text = task("run: echo", "env: {名前: x, B: \u0007, C: 1.10}");
    expect(render(text).split("\n").slice(-3, -1)).toEqual([
      " 4 |     env: {名前: x, B: \\u0007, C: 1.10}",
      "   |                                  ^^^^",
    ]);
  });

  test("cuts a long line around the fault", () => {
    const text = task(`run: ${"x".repeat(400)} \${{ nope.x }} ${"y".repeat(400)}`);
    const [, line, carets] = render(text).split("\n");
    expect(line?.length).toBeLessThan(180);
    expect(line?.slice(carets?.indexOf("^"), (carets?.lastIndexOf("^") ?? 0) + 1)).toBe("nope.x");
  });

  test("colours by severity when asked", () => {
    expect(render(task("run: x", "use: b"), true)).toContain("\u001b[31merror:\u001b[0m");
    expect(render(task("run: x", "use: b"))).not.toContain("\u001b");
  });

  test("gives nothing for no diagnostics", () => {
    expect(render(task("run: x"))).toBe("");
  });
});
