import { describe, expect, test } from "bun:test";
import { couldWrite, plainlyWritten, type Possibility } from "../../../src/spec/task/script.ts";

describe("couldWrite()", () => {
  const CASES: readonly (readonly [script: string, answer: Possibility])[] = [
    ["echo hi", "no"],
    ["", "no"],
    ["echo 1 > $RWX_VALUES/x", "yes"],
    ['echo 1 > "$MESH_VALUES/x"', "yes"],
    ['echo 1 > "${MINT_VALUES}/x"', "yes"],
    ['echo 1 > "$RWX_VALUES"/x', "yes"],
    ["echo 1 | tee $RWX_VALUES/x", "yes"],
    ['echo 1 > "$RWX_VALUES/x y"', "no"],
    ['cp "a b" "$RWX_VALUES/$(name)"', "yes"],
    ['cp "a b" "$RWX_VALUES/x"', "yes"],
    ["echo 1 > $RWX_VALUES/y", "no"],
    ["echo 1 > $RWX_VALUES/xy", "no"],
    ["echo 1 > $RWX_VALUES/$name", "yes"],
    ["cp x $RWX_VALUES", "yes"],
    ["cd $RWX_VALUES && touch x", "yes"],
    ["echo 1 > $RWX_ARTIFACTS/x", "no"],
    ["./build.sh", "perhaps"],
    ["make all", "perhaps"],
    ["npm run build", "perhaps"],
    ["sudo apt-get update\nsudo apt-get install git", "no"],
    ["set -e\ncd src\nif [ -f a ]; then\n  cp a b\nelse\n  mkdir c && touch c/d\nfi", "no"],
    ["for x in 1 2; do echo $x; done", "no"],
    ["echo $(node x.js)", "perhaps"],
    ["echo `node x.js`", "perhaps"],
    ["A=1 B=2 node x.js", "perhaps"],
    ["exec node x.js", "perhaps"],
    ["timeout 5 node x.js", "perhaps"],
    ["trap 'node x.js' EXIT", "perhaps"],
    ["find . -exec node {} ;", "perhaps"],
    ["cat > x <<EOF\nnode\nEOF", "perhaps"],
    ["source ./env.sh", "perhaps"],
    [". ./env.sh", "perhaps"],
    ["# node x.js\necho 1", "no"],
    ["echo 'node; node'", "no"],
    ["sleep 1 & wait", "no"],
    ["echo a 2>&1 >/dev/null", "no"],
    ["f() { node x.js; }\nf", "perhaps"],
  ];
  for (const [script, answer] of CASES) {
    test(`says ${answer} of ${JSON.stringify(script)}`, () => {
      expect(couldWrite(script, "values", "x")).toBe(answer);
    });
  }

  test("takes an expression in the name for any name", () => {
    const at = { line: 1, column: 1 };
    const script = { pieces: ["echo 1 > $RWX_VALUES/", { at, kind: "name", name: "x" } as const], at };
    expect(couldWrite(script, "values", "anything")).toBe("yes");
  });
});

describe("plainlyWritten()", () => {
  test("gives the names that stand in the script", () => {
    expect(
      plainlyWritten('echo 1 > "$RWX_VALUES/a"; echo 2 > $MESH_VALUES/b-c; cp x $RWX_VALUES/$y', "values"),
    ).toEqual(["a", "b-c"]);
  });
});
