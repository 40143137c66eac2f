// What goes wrong with the machine that content comes from, while it comes.

import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { describeIf } from "../../support/require.ts";
import { hiccup, killNode, leftOn, startRun } from "./faults.ts";
import { type Machine, type Machines, makeMesh, until } from "./machines.ts";

setDefaultTimeout(60_000);

const MIB = 1 << 20;
const LINE_MBIT = 80;

interface Got {
  readonly sizeBytes: number;
  readonly receivedBytes: number;
}

describeIf(["binary", "lan", "bash", "tc", "nft"], "content on its way", () => {
  let machines: Machines;
  let source: Machine;
  let receiver: Machine;

  beforeAll(async () => {
    machines = await makeMesh({
      hosts: 3,
      flags: [
        ["--cpus", "1"],
        ["--cpus", "1", "--labels", "maker"],
      ],
    });
    [receiver, source] = [machines.at(0), machines.at(1)];
    await source.host.limit(LINE_MBIT);
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });

  /** Puts random bytes at the sources, and begins to get them at the receiver. */
  async function begin(
    bytes: number,
    name: string,
    sources: readonly Machine[] = [source],
  ): Promise<{ digest: string; sha: string; got: Promise<Got> }> {
    const content = randomBytes(bytes);
    let digest = "";
    for (const machine of sources) {
      writeFileSync(join(machine.directory, name), content);
      ({ digest } = await machine.json<{ digest: string }>("blob", "put", name));
    }
    const sha = createHash("sha256").update(content).digest("hex");
    const got = receiver.json<Got>("blob", "get", digest, "-o", `got-${name}`);
    got.catch(() => undefined);
    await until("some of it is there", async () => (await arrivedBytes()) > 4 * MIB);
    return { digest, sha, got };
  }

  /** Verified bytes of what is on its way to the receiver. */
  async function arrivedBytes(): Promise<number> {
    const blocks = await receiver.host.shell(`du -sk ${receiver.home}/partial 2>/dev/null | cut -f 1`);
    return 1024 * Number(blocks);
  }

  /** Checks what the receiver has got. */
  function expectGot(name: string, sha: string): void {
    const content = readFileSync(join(receiver.directory, `got-${name}`));
    expect(createHash("sha256").update(content).digest("hex")).toBe(sha);
  }

  /** Bytes that have left a machine since it was started. */
  async function sentBytes(machine: Machine): Promise<number> {
    return Number(await machine.host.shell("grep eth0: /proc/net/dev | tr -s ' :' ' ' | cut -d ' ' -f 11"));
  }

  /** Waits until more has come: what was broken is mended. */
  async function moves(got: Promise<Got>): Promise<void> {
    const before = await arrivedBytes();
    let end = "";
    got.then(
      () => (end = "all of it came"),
      (error: unknown) => (end = String(error)),
    );
    await until("more comes", async () => {
      if (end !== "") throw new Error(`It is over too soon: ${end}`);
      return (await arrivedBytes()) > before;
    });
  }

  const seesSource = async (state: string) =>
    await until(`the source is ${state}`, async () => (await receiver.sees(state)).includes(source.name));

  test("goes on when its source slept, lost its cable, and was heard no more", async () => {
    const { sha, got } = await begin(48 * MIB, "faults");
    source.host.freeze();
    await seesSource("down");
    source.host.thaw();
    await moves(got);
    await source.host.unplug();
    await seesSource("down");
    await source.host.plug();
    await moves(got);
    await source.host.lose({ percent: 100, direction: "out" });
    await seesSource("down");
    await source.host.loseNothing();
    const { sizeBytes, receivedBytes } = await got;
    // A piece that was under way when the line broke is asked for again; nothing that had arrived is.
    expect(receivedBytes).toBeLessThan(sizeBytes + MIB);
    expectGot("faults", sha);
  });

  test("goes on at once from a second source when the first is cut off, which serves again when the network heals", async () => {
    const second = machines.at(2);
    for (const machine of [source, second]) await machine.host.limit(LINE_MBIT / 2);
    const { sha, got } = await begin(72 * MIB, "two", [source, second]);
    await machines.lan.partition([[source.host], [receiver.host, second.host]]);
    const atOnce = (await arrivedBytes()) + 6 * MIB;
    await until("more comes than was under way", async () => (await arrivedBytes()) > atOnce);
    expect(await receiver.sees("down")).toEqual([]);
    await seesSource("down");
    await machines.lan.heal();
    const before = await sentBytes(source);
    await seesSource("up");
    const { sizeBytes, receivedBytes } = await got;
    expect(receivedBytes).toBe(sizeBytes);
    expect((await sentBytes(source)) - before).toBeGreaterThan(4 * MIB);
    expectGot("two", sha);
    await source.host.limit(LINE_MBIT);
    await second.host.limit(null);
  });

  test("goes on while its source is slow, as one with a bad disk: it stands still most of the time, and is never missed", async () => {
    const { sha, got } = await begin(32 * MIB, "slow");
    for (let time = 0; time < 4; time++) {
      await hiccup(source.host);
      expect(await receiver.sees("down")).toEqual([]);
    }
    const { sizeBytes, receivedBytes } = await got;
    expect(receivedBytes).toBe(sizeBytes);
    expectGot("slow", sha);
  });

  test("whose source is killed, and nobody else has it: it is said so, and what had come is used when it is back", async () => {
    const { digest, sha, got } = await begin(32 * MIB, "gone");
    await killNode(source);
    expect(await got.then(String, String)).toMatch(/Cannot find .* on any machine/);
    expect(existsSync(join(receiver.directory, "got-gone"))).toBe(false);
    await source.mesh("up");
    await seesSource("up");
    const { sizeBytes, receivedBytes } = await receiver.json<Got>("blob", "get", digest, "-o", "got-gone");
    expect(receivedBytes).toBeLessThan(sizeBytes - 2 * MIB);
    expectGot("gone", sha);
  });

  test("of a task whose machine loses its power: the task runs again elsewhere, and the next one gets it from there", async () => {
    const definition = `
tasks:
  - key: make
    agent: { labels: [maker] }
    run: head -c ${24 * MIB} /dev/urandom > made; hostname
  - key: use
    use: make
    agent: { node: ${receiver.name} }
    run: stat -c %s made > "$MESH_VALUES/it"
`;
    await machines.at(2).mesh("drain");
    const watched = await startRun(receiver, definition);
    expect(await watched.finishedAt("make")).toBe(source.name);
    await machines.at(2).mesh("drain", "--off");
    await until("some of it is there", async () => (await arrivedBytes()) > 2 * MIB);
    await source.host.powerOff();
    const { run, twice } = await watched.over;
    expect(run.status.result).toBe("succeeded");
    expect(run.tasks.map(({ node }) => node)).toEqual(["host-3", receiver.name]);
    expect(run.tasks[1]?.outputs.values["it"]).toBe(String(24 * MIB));
    expect(twice).toEqual([]);
    expect(await leftOn(receiver)).toEqual([]);
  });
});
