import { describe, expect, test } from "bun:test";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { digestOf } from "../../src/base/digest.ts";
import { StoreBlobs } from "../../src/cli/store-blobs.ts";
import { Store } from "../../src/store/io/store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { fakeContext, runCommand } from "./fake/context.ts";
import { FakeMesh } from "./fake/mesh.ts";

const BYTES = "some bytes";
const DIGEST = digestOf(BYTES);

/** A store in a folder, and a command line on it. */
function shelf(mesh = new FakeMesh({ membership: null })) {
  const folder = temporaryFolder();
  const blobs = StoreBlobs.open(folder.join("home"));
  writeFileSync(folder.join("file"), BYTES);
  return {
    folder,
    mesh: async (...words: string[]) => await runCommand(fakeContext({ blobs, mesh }), "blob", ...words),
    [Symbol.dispose]() {
      blobs[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

describe("mesh blob", () => {
  test("puts a file, lists it and writes it out again", async () => {
    using at = shelf();
    expect((await at.mesh("put", at.folder.join("file"))).out).toBe(`${DIGEST}\n`);
    expect((await at.mesh("ls")).out).toContain(DIGEST);
    expect((await at.mesh("get", DIGEST)).out).toBe(BYTES);
    await at.mesh("get", DIGEST.slice("sha256:".length), "-o", at.folder.join("out"));
    expect(readFileSync(at.folder.join("out"), "utf8")).toBe(BYTES);
    expect((await at.mesh("ls", DIGEST)).out.split("\n")).toHaveLength(2);
  });

  test("a machine in no mesh says what it has not", async () => {
    using at = shelf();
    expect((await at.mesh("get", DIGEST)).error).toMatchObject({ code: "blob.missing" });
    expect(await at.mesh("ls", DIGEST)).toMatchObject({ code: 1, error: null });
  });

  test("a member asks the others", async () => {
    const mesh = new FakeMesh();
    using at = shelf(mesh);
    expect((await at.mesh("ls", DIGEST)).out).toBe("attic\n");
    // it came, says the fake, and did not
    expect((await at.mesh("get", DIGEST)).error?.code).toBe("blob.missing");
    expect(mesh.asked).toEqual([["fetch", [{ kind: "blob", digest: DIGEST }]]]);
  });

  test("bytes that rotted on disk are not given, and leave no file", async () => {
    using at = shelf();
    await at.mesh("put", at.folder.join("file"));
    const store = Store.open(at.folder.join("home"));
    const path = store.blobs.path(DIGEST);
    store[Symbol.dispose]();
    await Bun.spawn(["chmod", "u+w", path]).exited;
    writeFileSync(path, "other data");
    const { error, code } = await at.mesh("get", DIGEST, "-o", at.folder.join("out"));
    expect([error?.code, code]).toEqual(["blob.corrupt", 5]);
    expect(readdirSync(at.folder.path).toSorted()).toEqual(["file", "home"]);
  });

  test("says what it cannot read", async () => {
    using at = shelf();
    expect((await at.mesh("put", at.folder.path)).error?.code).toBe("io.failed");
    expect((await at.mesh("get", "sha256:12")).error?.message).toContain("64 hex digits");
    expect((await at.mesh("get", DIGEST, "--json")).error?.code).toBe("usage.invalid");
    await at.mesh("put", at.folder.join("file"));
    expect((await at.mesh("get", DIGEST, "-o", at.folder.join("no/such/folder"))).error?.code).toBe("io.failed");
  });
});
