import { expect, test } from "bun:test";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { meshFolder, openSocketPath } from "../../src/node/socket-path.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Bytes of `sun_path`, less the NUL. */
const MOST_BYTES = 107;

test("openSocketPath() gives a path as it is when the system takes it, and makes nothing", () => {
  using folder = temporaryFolder();
  const pad = MOST_BYTES - folder.join("", "mesh/node.sock").length - 1;
  const home = folder.join("h".repeat(pad));
  using socket = openSocketPath(home);
  expect(socket.path).toBe(`${home}/mesh/node.sock`);
  expect(socket.path.length).toBe(MOST_BYTES);
  expect(existsSync(home)).toBe(false);
});

test("openSocketPath() reaches a longer one by its folder, which it makes for its user alone", () => {
  using folder = temporaryFolder();
  const home = folder.join("h".repeat(MOST_BYTES));
  let path: string;
  {
    using socket = openSocketPath(home);
    ({ path } = socket);
    expect(path.length).toBeLessThanOrEqual(MOST_BYTES);
    writeFileSync(path, "");
    expect(existsSync(`${meshFolder(home)}/node.sock`)).toBe(true);
    expect(statSync(meshFolder(home)).mode & 0o777).toBe(0o700);
  }
  expect(existsSync(path)).toBe(false);
});
