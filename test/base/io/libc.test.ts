import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf } from "../../../src/base/errors.ts";
import {
  errnoName,
  getXattr,
  makeMemoryFile,
  makePipe,
  makeSocketPair,
  makeWhiteout,
  setXattr,
  spreadFolders,
} from "../../../src/base/io/libc.ts";
import { testIf } from "../../support/require.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "mesh-libc-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
const codeOf = (act: () => unknown) => {
  try {
    act();
    return null;
  } catch (error) {
    return errnoOf(error);
  }
};

describe("spreadFolders()", () => {
  testIf(["ext4", "lsattr"], "marks a folder as one whose folders are kept apart", () => {
    const flags = () => Bun.spawnSync(["lsattr", "-d", directory]).stdout.toString().split(" ")[0];
    expect(flags()).not.toContain("T");
    spreadFolders(directory);
    expect(flags()).toContain("T");
  });

  testIf("linux", "does without where the filesystem does not know it", () => {
    expect(() => spreadFolders("/proc/self")).not.toThrow();
  });
});

test("makePipe() and makeSocketPair() connect, and close on exec", () => {
  const { readFd, writeFd } = makePipe();
  const [left, right] = makeSocketPair();
  for (const [from, to] of [
    [writeFd, readFd],
    [left, right],
    [right, left],
  ] as const) {
    writeSync(from, "x");
    const one = Buffer.alloc(2);
    expect([readSync(to, one), one[0]]).toEqual([1, 0x78]);
  }
  const CLOSE_ON_EXEC = 0o2000000;
  for (const fd of [readFd, writeFd, left, right]) {
    const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0";
    expect(Number.parseInt(flags, 8) & CLOSE_ON_EXEC).toBe(CLOSE_ON_EXEC);
    closeSync(fd);
  }
});

test("makeMemoryFile() runs when it is executed", async () => {
  const fd = makeMemoryFile("test");
  writeSync(fd, readFileSync("/bin/true"));
  expect(await Bun.spawn([`/proc/self/fd/${fd}`]).exited).toBe(0);
  closeSync(fd);
});

describe("makeWhiteout()", () => {
  testIf("whiteouts", "makes a whiteout", () => {
    makeWhiteout(join(directory, "whiteout"));
    const whiteout = lstatSync(join(directory, "whiteout"));
    expect([whiteout.isCharacterDevice(), whiteout.rdev]).toEqual([true, 0]);
  });

  testIf("whiteouts", "refuses what is there already, by its code", () => {
    writeFileSync(join(directory, "taken"), "");
    expect(codeOf(() => makeWhiteout(join(directory, "taken")))).toBe("EEXIST");
  });
});

describe("extended attributes", () => {
  test("are set and read", () => {
    const path = join(directory, "file");
    writeFileSync(path, "");
    setXattr(path, "user.a", bytes("value"));
    setXattr(path, "user.empty", new Uint8Array());
    setXattr(path, "user.large", new Uint8Array(3000).fill(7));
    expect(getXattr(path, "user.a")).toEqual(bytes("value"));
    expect(getXattr(path, "user.empty")).toEqual(new Uint8Array());
    expect(getXattr(path, "user.large")?.length).toBe(3000);
    expect(getXattr(path, "user.none")).toBeNull();
  });

  test("are those of a link itself", () => {
    const path = join(directory, "link");
    symlinkSync("/no/where", path);
    expect(codeOf(() => setXattr(path, "user.a", bytes("x")))).toBe("EPERM");
  });

  test("of a file that is missing are an error", () => {
    expect(codeOf(() => getXattr(join(directory, "missing"), "user.a"))).toBe("ENOENT");
  });
});

test("errnoName() names what has a name", () => {
  expect([errnoName(22), errnoName(2), errnoName(9_999)]).toEqual(["EINVAL", "ENOENT", "errno 9999"]);
});
