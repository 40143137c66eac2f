import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { describeIf, testIf } from "../require.ts";
import { type Lan, type LanHost, makeLan } from "./lan.ts";

/** Generous: what is slow here is a busy machine. */
const TIMEOUT_MS = 40_000;

async function reaches(from: LanHost, address: string): Promise<boolean> {
  const script = `exec 3<>/dev/tcp/${address}/9`;
  // Refused is reached: nothing listens there.
  const { stderr } = await from.run(["timeout", "2", "bash", "-c", script]);
  return stderr.includes("refused");
}

/** Whether it does before long: for a while a kernel goes by what it found out while the line was cut. */
async function comesToReach(from: LanHost, address: string): Promise<boolean> {
  for (let attempt = 0; attempt < 10; attempt++) if (await reaches(from, address)) return true;
  return false;
}

function pair(lan: Lan): readonly [LanHost, LanHost] {
  return [lan.host(0), lan.host(1)];
}

for (const { ability, asUser } of [
  { ability: "lan", asUser: false },
  { ability: "lan-as-user", asUser: true },
] as const) {
  describeIf(ability, `makeLan() ${asUser ? "as an ordinary user" : "as root"}`, () => {
    testIf(
      "bash",
      "gives hosts that reach each other, with names and processes of their own",
      async () => {
        await using lan = await makeLan({ hosts: 2, asUser });
        const [one, two] = pair(lan);
        expect(await one.shell("uname -n; ls -d /proc/[0-9]* | wc -l")).toMatch(/^host-1\n[1-9]\n$/);
        expect([await reaches(one, two.ipv4), await reaches(two, one.ipv6)]).toEqual([true, true]);
      },
      TIMEOUT_MS,
    );

    testIf(
      "bash",
      "partition(), unplug() and powerOff() part hosts, and each is undone",
      async () => {
        await using lan = await makeLan({ hosts: 2, asUser });
        const [one, two] = pair(lan);
        const seen: boolean[] = [];
        await lan.partition([[one], [two]]);
        seen.push(await reaches(one, two.ipv4));
        await lan.heal();
        seen.push(await comesToReach(one, two.ipv4));
        await two.unplug();
        seen.push(await reaches(one, two.ipv4));
        await two.plug();
        seen.push(await comesToReach(one, two.ipv4));
        await two.powerOff();
        seen.push(await reaches(one, two.ipv4));
        await two.powerOn();
        seen.push(await comesToReach(one, two.ipv4));
        expect(seen).toEqual([false, true, false, true, false, true]);
      },
      TIMEOUT_MS,
    );

    testIf(
      ["bash", "nft"],
      "lose() drops one way only",
      async () => {
        await using lan = await makeLan({ hosts: 2, asUser });
        const [one, two] = pair(lan);
        const listener = await two.spawn(["bash", "-c", "read line; echo $line"]);
        await one.lose({ percent: 100, direction: "in", with: [two] });
        expect(await reaches(one, two.ipv4)).toBe(false);
        await one.loseNothing();
        expect(await comesToReach(one, two.ipv4)).toBe(true);
        listener.kill("SIGKILL");
      },
      TIMEOUT_MS,
    );

    testIf(
      "linux",
      "powerOff() ends what runs there, background processes and frozen ones included",
      async () => {
        await using lan = await makeLan({ hosts: 1, asUser });
        const host = lan.host(0);
        await host.shell("setsid sleep 1000 >/dev/null 2>&1 &");
        const frozen = await host.spawn(["sleep", "1000"]);
        host.freeze();
        await host.powerOff();
        expect(await frozen.exited).toBe(137);
        expect(existsSync(`/proc/${frozen.pid}`)).toBe(false);
      },
      TIMEOUT_MS,
    );
  });
}

testIf(
  ["lan", "tun", "bash"],
  "Host.delay() makes a line long",
  async () => {
    await using lan = await makeLan({ hosts: 2 });
    const [one, two] = pair(lan);
    await one.delay(60);
    await reaches(one, two.ipv4); // Addresses are resolved.
    const startMs = performance.now();
    expect(await reaches(one, two.ipv4)).toBe(true);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(120);
  },
  TIMEOUT_MS,
);
