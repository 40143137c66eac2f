// Those who do not belong to a mesh, or not under that name, or not any more: what a real node lets them see and do.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { makeInviteCode, parseInviteCode } from "../../../src/mesh/invite-code.ts";
import { describeIf } from "../../support/require.ts";
import { killNode } from "./faults.ts";
import { type Machines, makeMachines, until } from "./machines.ts";

setDefaultTimeout(60_000);

/** Two meshes of two machines each on one LAN, host-1 and host-2, host-3 and host-4; and one machine more. */
describeIf(["binary", "lan", "bash"], "a mesh and those outside of it", () => {
  let machines: Machines;

  const codeOf = async (index: number) => (await machines.at(index).json<{ code: string }>("invite", "--no-wait")).code;
  const portOf = async (index: number) => {
    const { running } = await machines
      .at(index)
      .json<{ running: { addresses: { port: number }[] } }>("service", "status");
    return running.addresses[0]?.port ?? 0;
  };
  const namesAt = async (index: number) => {
    const { nodes } = await machines.at(index).json<{ nodes: { name: string; state: string }[] }>("nodes");
    return nodes.filter(({ state }) => state === "up" || state === "self").map(({ name }) => name);
  };

  beforeAll(async () => {
    machines = await makeMachines({ hosts: 5 });
    for (const first of [0, 2]) {
      await machines.at(first).mesh("init");
      await machines.at(first).mesh("up", "--cpus", "1");
    }
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });

  test("a code of one mesh leads into that mesh, though both are on the LAN, and each sees its own machines", async () => {
    await machines.at(1).mesh("join", await codeOf(0), "--detach", "--cpus", "1");
    await machines.at(3).mesh("join", await codeOf(2), "--detach", "--name", "host-3");
    await until("both meshes are whole", async () => {
      const seen = await Promise.all([0, 2].map(namesAt));
      return seen.every(({ length }) => length === 2);
    });
    expect([...(await namesAt(0))].toSorted()).toEqual(["host-1", "host-2"]);
    expect([...(await namesAt(2))].some((name) => name === "host-1" || name === "host-2")).toBe(false);
  });

  test("a machine that wishes for a name that is taken gets another, and both can be told apart", async () => {
    const names = await namesAt(2);
    expect(names).toHaveLength(2);
    expect(new Set(names).size).toBe(2);
    expect(names).toContain("host-3");
  });

  test("a wrong guess burns the code: the right one does not help any more", async () => {
    await machines.at(3).mesh("down");
    await machines.at(3).mesh("leave");
    const code = await codeOf(2);
    // what is mistyped is caught before it is a guess
    const mistyped = await machines.at(3).try("join", code.slice(0, -1) + (code.endsWith("2") ? "3" : "2"), "--detach");
    expect(mistyped.exitCode).not.toBe(0);
    const random = Uint8Array.from([1, 2, 3, 4, 5]);
    const guess = makeInviteCode(parsedSlot(code), random).text;
    const guessed = await machines.at(3).try("join", guess, "--detach");
    expect(guessed.exitCode).not.toBe(0);
    expect(guessed.stderr).not.toContain(code);
    expect((await machines.at(3).try("join", code, "--detach")).exitCode).not.toBe(0);
    // a new one is good
    await machines.at(3).mesh("join", await codeOf(2), "--detach");
    await until("it is in", async () => (await namesAt(2)).length === 2);
  });

  test("a code typed wrong three times costs three codes and lets nobody in; the next one is still good", async () => {
    const port = await portOf(2);
    for (let time = 1; time <= 3; time++) {
      const asked = await machines.at(2).spawn("invite", "--json");
      const lines = asked.stdout.getReader();
      const { code } = JSON.parse(new TextDecoder().decode((await lines.read()).value)) as { code: string };
      const guess = makeInviteCode(parsedSlot(code), Uint8Array.from([time, 2, 3, 4, 5])).text;
      const guessed = await machines.at(4).try("join", `${machines.at(2).host.ipv4}:${port}`, guess, "--detach");
      expect(guessed.exitCode).not.toBe(0);
      expect(guessed.stderr).toContain("mesh invite");
      // whoever gave the code out hears of it at once
      expect(JSON.parse(new TextDecoder().decode((await lines.read()).value))).toEqual({ end: { kind: "burnt" } });
      expect(await asked.exited).toBe(4);
      expect(await namesAt(2)).toHaveLength(2);
    }
    await machines.at(4).mesh("join", await codeOf(2), "--detach");
    await until("it is in", async () => (await namesAt(2)).length === 3);
  });

  test("who is no member gets nothing but a closed connection, and nobody else notices", async () => {
    const port = await portOf(0);
    const script = `
      const net = require("node:net");
      const sent = [Buffer.alloc(0), Buffer.from("GET / HTTP/1.0\\r\\n\\r\\n"), Buffer.alloc(1 << 16, 255)];
      const talk = (bytes) => new Promise((resolve) => {
        let heard = 0;
        const socket = net.connect(${port}, "${machines.at(0).host.ipv4}", () => socket.end(bytes));
        socket.on("data", (data) => (heard += data.length));
        socket.on("error", () => {});
        socket.on("close", () => resolve(heard));
      });
      const heard = [];
      for (let at = 0; at < 60; at++) heard.push(await talk(sent[at % sent.length]));
      console.log(JSON.stringify([...new Set(heard)]));`;
    const { stdout, stderr } = await machines.lan
      .host(2)
      .run([process.execPath, "-e", script], { env: { HOME: machines.at(2).directory } });
    expect([stderr, JSON.parse(stdout)]).toEqual(["", expect.any(Array)]);
    // a TLS alert at most: no certificate, no name, no version
    expect(Math.max(...(JSON.parse(stdout) as number[]))).toBeLessThanOrEqual(64);
    expect([...(await namesAt(0))].toSorted()).toEqual(["host-1", "host-2"]);
  });

  test("a member that slept while it was revoked is refused when it wakes", async () => {
    machines.lan.host(1).freeze();
    await machines.at(0).mesh("revoke", "host-2");
    machines.lan.host(1).thaw();
    await until("it is out", async () => !(await namesAt(0)).includes("host-2"));
    const { run } = await machines.at(0).run("tasks:\n  - key: a\n    run: hostname\n");
    expect(run.tasks[0]?.node).toBe("host-1");
  });

  test("a node that was killed leaves nothing that keeps the next one from starting", async () => {
    for (let time = 0; time < 3; time++) {
      await killNode(machines.at(0));
      await machines.at(0).mesh("up");
    }
    expect(await namesAt(0)).toContain("host-1");
  });
});

/** Which of the open codes it is: anybody on the LAN may know that. */
function parsedSlot(text: string): number {
  const parsed = parseInviteCode(text);
  if (parsed.kind !== "code") throw new Error(`${text} is no code`);
  return parsed.code.slot;
}
