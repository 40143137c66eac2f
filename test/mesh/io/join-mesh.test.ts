import { describe, expect, test } from "bun:test";
import { makeInviteCode, parseInviteCode } from "../../../src/mesh/invite-code.ts";
import { initMesh, type JoinOptions, joinMesh } from "../../../src/mesh/io/join-mesh.ts";
import { type Mesh, openMesh } from "../../../src/mesh/io/mesh.ts";
import { temporaryFolder, type TemporaryFolder } from "../../support/temporary.ts";

const TIMES = { memberUntilMs: null };

/** A mesh of one machine, and folders for others. */
class Inviter implements AsyncDisposable {
  readonly #folder: TemporaryFolder;
  readonly mesh: Mesh;
  readonly notices: readonly string[];

  private constructor(folder: TemporaryFolder, mesh: Mesh, notices: readonly string[]) {
    this.#folder = folder;
    this.mesh = mesh;
    this.notices = notices;
  }

  static async start(): Promise<Inviter> {
    const folder = temporaryFolder();
    const notices: string[] = [];
    initMesh(folder.join("a"), "Anna's Laptop");
    const mesh = await openMesh({
      folder: folder.join("a"),
      version: "1",
      port: 0,
      multicast: false,
      onNotice: ({ error }) => notices.push(error.code),
    });
    return new Inviter(folder, mesh, notices);
  }

  folderOf(name: string): string {
    return this.#folder.join(name);
  }

  joinOptions(name: string, code: string): JoinOptions {
    const address = { host: "127.0.0.1", port: this.mesh.port ?? 0 };
    return { folder: this.folderOf(name), code, name, roles: null, address, signal: AbortSignal.timeout(10_000) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mesh[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

async function codeOf(failing: Promise<unknown>): Promise<string> {
  return await failing.then(
    () => "it did not fail",
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
}

/** A well-formed code of the same slot that is not this one. */
function otherCode(code: string): string {
  const parsed = parseInviteCode(code);
  const slot = parsed.kind === "code" ? parsed.code.slot : 0;
  const { text } = makeInviteCode(slot, new Uint8Array(5));
  return text === code ? makeInviteCode(slot, new Uint8Array(5).fill(1)).text : text;
}

describe("initMesh()", () => {
  test("makes a mesh of one machine with all roles and a fit name, once", () => {
    using folder = temporaryFolder();
    expect(initMesh(folder.join("mesh"), "Anna's Laptop.local")).toMatchObject({
      name: "anna-s-laptop",
      roles: ["admin", "submitter", "worker"],
    });
    expect(() => initMesh(folder.join("mesh"), "again")).toThrow(
      expect.objectContaining({ code: "mesh.already-a-member" }) as Error,
    );
  });
});

describe("joinMesh()", () => {
  test("makes a member that is connected as soon as it opens the mesh", async () => {
    await using inviter = await Inviter.start();
    const { text } = inviter.mesh.invite({ roles: ["worker"], ...TIMES });
    const joined = await joinMesh(inviter.joinOptions("b", text.toUpperCase().replaceAll("-", " ")));
    expect(joined).toMatchObject({ name: "b", roles: ["worker"] });
    expect(inviter.mesh.get(joined.self)).toMatchObject({ name: "b", state: "down" });
    const up = Promise.withResolvers<void>();
    using _ = inviter.mesh.watch(({ kind }) => {
      if (kind === "up") up.resolve();
    });
    await using b = await openMesh({ folder: inviter.folderOf("b"), version: "1", port: 0, multicast: false });
    await up.promise;
    expect(inviter.mesh.get(b.self)?.state).toBe("up");
  });

  test("gives another name when the wished one is taken", async () => {
    await using inviter = await Inviter.start();
    const { text } = inviter.mesh.invite({ roles: ["worker"], ...TIMES });
    const options = { ...inviter.joinOptions("b", text), name: "anna-s-laptop" };
    expect((await joinMesh(options)).name).toBe("anna-s-laptop-2");
  });

  test("a code is good once, and gone after a wrong guess", async () => {
    await using inviter = await Inviter.start();
    const { text } = inviter.mesh.invite({ roles: ["worker"], ...TIMES });
    expect(await codeOf(joinMesh(inviter.joinOptions("b", otherCode(text))))).toBe("mesh.code-refused");
    expect(await codeOf(joinMesh(inviter.joinOptions("b", text)))).toBe("peer.unreachable");
    const second = inviter.mesh.invite({ roles: ["worker"], ...TIMES });
    await joinMesh(inviter.joinOptions("b", second.text));
    expect(await codeOf(joinMesh(inviter.joinOptions("c", second.text)))).toBe("peer.unreachable");
    expect(inviter.notices).toEqual(["mesh.code-refused"]);
    expect(inviter.mesh.list().map(({ name }) => name)).toEqual(["anna-s-laptop", "b"]);
  });

  test("gives only roles that the code gives", async () => {
    await using inviter = await Inviter.start();
    const { text } = inviter.mesh.invite({ roles: ["worker"], ...TIMES });
    const greedy = { ...inviter.joinOptions("b", text), roles: ["admin"] as const };
    expect(await codeOf(joinMesh(greedy))).toBe("mesh.code-refused");
  });

  test("refuses what is no code before anybody is asked, and a machine that is a member already", async () => {
    await using inviter = await Inviter.start();
    const { text } = inviter.mesh.invite({ roles: ["worker"], ...TIMES });
    const mistyped = `${text.slice(0, -1)}${text.endsWith("0") ? "1" : "0"}`;
    for (const wrong of ["", "hello", mistyped])
      expect(await codeOf(joinMesh(inviter.joinOptions("b", wrong)))).toBe("usage.invalid");
    await joinMesh(inviter.joinOptions("b", text));
    const again = inviter.mesh.invite({ roles: ["worker"], ...TIMES });
    expect(await codeOf(joinMesh(inviter.joinOptions("b", again.text)))).toBe("mesh.already-a-member");
    await joinMesh(inviter.joinOptions("c", again.text)); // It was not spent.
  });

  test("lets a revoked machine in again by a new code", async () => {
    await using inviter = await Inviter.start();
    const first = inviter.mesh.invite({ roles: ["worker"], ...TIMES });
    const { self } = await joinMesh(inviter.joinOptions("b", first.text));
    inviter.mesh.revoke(self);
    expect(inviter.mesh.get(self)?.state).toBe("revoked");
    await using b = await openMesh({ folder: inviter.folderOf("b"), version: "1", port: 0, multicast: false });
    await b.leave();
    const second = inviter.mesh.invite({ roles: ["submitter"], ...TIMES });
    expect(await joinMesh(inviter.joinOptions("b", second.text))).toMatchObject({ self, roles: ["submitter"] });
    expect(inviter.mesh.get(self)?.state).toBe("down");
  });
});
