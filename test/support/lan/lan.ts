// A LAN of machines for tests: network namespaces on a bridge with multicast, IPv4 and IPv6, and what can go wrong with them:
// power, cables, partitions, loss, narrow and long lines, freezing. All of it goes with its scope, and when this process dies.
// Needs the ability "lan" as root; `asUser` needs "lan-as-user".

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Namespace, type NamespaceProcess, signalTo, type Finished, type SpawnOptions } from "./namespace.ts";

export interface LanOptions {
  /** 1 to 100. */
  readonly hosts: number;
  /** In a user namespace of an ordinary user, also when this is root. Root has no need of one. */
  readonly asUser?: boolean;
  /** Whether packets to many arrive; true when absent. */
  readonly multicast?: boolean;
}

/** Loss in percent, of packets that come in, go out, or (both) each way. */
export interface Loss {
  readonly percent: number;
  readonly direction: "in" | "out";
  /** Only to or from these machines. */
  readonly with?: readonly LanHost[];
}

/** Makes a LAN: `await using lan = await makeLan({ hosts: 3 });`. */
export async function makeLan({ hosts, asUser = false, multicast = true }: LanOptions): Promise<Lan> {
  const isUser = asUser || process.getuid?.() !== 0;
  const user = isUser ? ["--user", "--map-root-user"] : [];
  const hub = await Namespace.open({ unshare: [...user, "--net"], inside: null, asUser: isUser });
  const lan = new Lan(hub, isUser);
  try {
    // Without snooping the bridge passes multicast to all at once; without STP a port is usable at once.
    await hub.shell(`
      ip link set lo up
      ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
      ip link set br0 up`);
    for (let number = 1; number <= hosts; number++) await lan.addHost();
    if (!multicast) for (const host of lan.hosts) await host.forbidMulticast();
    return lan;
  } catch (error) {
    await lan[Symbol.asyncDispose]();
    throw error;
  }
}

export class Lan implements AsyncDisposable {
  readonly #hub: Namespace;
  readonly #asUser: boolean;
  readonly #hosts: LanHost[] = [];
  readonly #bridges = new Set(["br0"]);

  constructor(hub: Namespace, asUser: boolean) {
    this.#hub = hub;
    this.#asUser = asUser;
  }

  get hosts(): readonly LanHost[] {
    return this.#hosts;
  }

  /** Counts from 0. */
  host(index: number): LanHost {
    const host = this.#hosts[index];
    if (host === undefined) throw new Error(`This LAN has ${this.#hosts.length} hosts: none has the index ${index}`);
    return host;
  }

  /** Plugs one more machine in. */
  async addHost(): Promise<LanHost> {
    const host = await LanHost.start(this.#hub, this.#hosts.length + 1, this.#asUser);
    this.#hosts.push(host);
    return host;
  }

  /** Splits the LAN: only machines of one group reach each other. Links stay up, as behind switches that lost each other. */
  async partition(groups: readonly (readonly LanHost[])[]): Promise<void> {
    for (const [index, group] of groups.entries()) {
      const bridge = `br${index}`;
      if (!this.#bridges.has(bridge))
        await this.#hub.shell(
          `ip link add ${bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0; ip link set ${bridge} up`,
        );
      this.#bridges.add(bridge);
      for (const host of group) await this.#hub.shell(`ip link set ${host.port} master ${bridge}`);
    }
  }

  /** Joins what `partition` split. */
  async heal(): Promise<void> {
    for (const host of this.#hosts) await this.#hub.shell(`ip link set ${host.port} master br0`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.#hosts) await host[Symbol.asyncDispose]();
    await this.#hub[Symbol.asyncDispose]();
  }
}

/** A machine: network, processes, mounts and name of its own; the files are those of the machine that the test runs on. */
export class LanHost implements AsyncDisposable {
  readonly #hub: Namespace;
  #own: Namespace;
  readonly #asUser: boolean;
  readonly #number: number;
  #line: NamespaceProcess | null = null;
  #isOn = true;

  private constructor(hub: Namespace, own: Namespace, { number, asUser }: { number: number; asUser: boolean }) {
    this.#hub = hub;
    this.#own = own;
    this.#number = number;
    this.#asUser = asUser;
  }

  /** Makes it and plugs it in. */
  static async start(hub: Namespace, number: number, asUser: boolean): Promise<LanHost> {
    const own = await boot(hub, number, asUser);
    const host = new LanHost(hub, own, { number, asUser });
    await host.#plugIn();
    return host;
  }

  get name(): string {
    return nameOf(this.#number);
  }

  get ipv4(): string {
    return `10.77.0.${this.#number + 10}`;
  }

  get ipv6(): string {
    return `fd77::${(this.#number + 10).toString(16)}`;
  }

  /** The address that its kernel derives from the hardware's (RFC 4291, appendix A). */
  get linkLocal(): string {
    return `fe80::ff:fe00:${(this.#number + 10).toString(16)}`;
  }

  /** It keeps it, or others would go on sending to what it was before it was off. */
  get #mac(): string {
    return `02:00:00:00:00:${(this.#number + 10).toString(16).padStart(2, "0")}`;
  }

  /** Its end of the cable at the bridge. */
  get port(): string {
    return this.#line === null ? `port${this.#number}` : `near${this.#number}`;
  }

  /** Starts a command on it. */
  async spawn(argv: readonly string[], options?: SpawnOptions): Promise<NamespaceProcess> {
    return await this.#own.spawn(argv, options);
  }

  /** Runs a command on it to its end. */
  async run(argv: readonly string[], options?: SpawnOptions): Promise<Finished> {
    return await this.#own.run(argv, options);
  }

  /** Runs a shell script on it as its root, which must succeed. Returns what it printed. */
  async shell(script: string): Promise<string> {
    return await this.#own.shell(script);
  }

  /** Pulls the cable: the interface loses its carrier. */
  async unplug(): Promise<void> {
    await this.#hub.shell(`ip link set port${this.#number} down`);
  }

  async plug(): Promise<void> {
    await this.#hub.shell(`ip link set port${this.#number} up`);
  }

  /** Pulls the plug: every process on it is gone at once, and nobody closes its connections. */
  async powerOff(): Promise<void> {
    if (!this.#isOn) return;
    this.#isOn = false;
    // First the cable: a kernel that still lives would close the connections of the dead.
    await this.unplug();
    await this.#own[Symbol.asyncDispose]();
  }

  /** Starts it again, with the same addresses and nothing running. */
  async powerOn(): Promise<void> {
    if (this.#isOn) return;
    await this.#hub.shell(`ip link del port${this.#number} 2>/dev/null || true`);
    this.#own = await boot(this.#hub, this.#number, this.#asUser);
    this.#isOn = true;
    await this.#plugIn();
  }

  /** Stops every process on it, as sleep does. */
  freeze(): void {
    for (const pid of this.#processes()) signalTo(pid, "SIGSTOP");
  }

  thaw(): void {
    for (const pid of this.#processes()) signalTo(pid, "SIGCONT");
    this.#own.wakeStandIns();
  }

  /** Gives it another IPv4 address in place of the one it has. */
  async moveTo(ipv4: string): Promise<void> {
    await this.shell(`ip -4 addr flush dev eth0; ip addr add ${ipv4}/24 brd + dev eth0`);
  }

  /** Adds a second network that only this machine is on, as a laptop has many. */
  async addInterface(name: string, ipv4: string): Promise<void> {
    await this.shell(
      `ip link add ${name} type dummy; ip addr add ${ipv4}/24 brd + dev ${name}; ip link set ${name} up`,
    );
  }

  /** Plugs it into a second network beside the first as well, the same for all who are: 10.78.0.0/24 on eth1. */
  async plugIntoSecond(): Promise<string> {
    const [port, ipv4] = [`second${this.#number}`, `10.78.0.${this.#number + 10}`];
    await this.#hub.shell(`
      ip link show second >/dev/null 2>&1 || ip link add second type bridge stp_state 0 forward_delay 0 mcast_snooping 0
      ip link set second up
      ip link add ${port} type veth peer name eth1 netns ${this.#own.pid}
      ip link set ${port} master second up`);
    await this.shell(`ip addr add ${ipv4}/24 brd + dev eth1; ip link set eth1 up`);
    return ipv4;
  }

  /** Leaves it IPv6 alone. */
  async forgetIpv4(): Promise<void> {
    await this.shell("ip -4 addr flush dev eth0; ip -4 route flush dev eth0");
  }

  async removeInterface(name: string): Promise<void> {
    await this.shell(`ip link del ${name}`);
  }

  /** Drops packets by chance (100: all). Adds to what is dropped already. Needs the ability "nft". */
  async lose({ percent, direction, with: peers }: Loss): Promise<void> {
    const chain = direction === "in" ? "input" : "output";
    const side = direction === "in" ? "saddr" : "daddr";
    const dice = percent >= 100 ? "" : `numgen random mod 1000 < ${Math.round(percent * 10)}`;
    const rules =
      peers === undefined
        ? [`meta iifname != lo meta oifname != lo ${dice} drop`]
        : peers.flatMap((peer) => [
            `ip ${side} ${peer.ipv4} ${dice} drop`,
            `ip6 ${side} { ${peer.ipv6}, ${peer.linkLocal} } ${dice} drop`,
          ]);
    await this.shell(`
      nft add table inet faults
      nft 'add chain inet faults ${chain} { type filter hook ${chain} priority 0; }'
      ${rules.map((rule) => `nft 'add rule inet faults ${chain} ${loopbackLess(rule, direction)}'`).join("\n")}`);
  }

  /** Ends what `lose` and `forbidMulticast` began. */
  async loseNothing(): Promise<void> {
    await this.shell("nft delete table inet faults 2>/dev/null || true");
  }

  /** Drops what is sent to many, both ways, as some access points do. Needs the ability "nft". */
  async forbidMulticast(): Promise<void> {
    await this.shell(`
      nft add table inet faults
      nft 'add chain inet faults input { type filter hook input priority 0; }'
      nft 'add chain inet faults output { type filter hook output priority 0; }'
      nft 'add rule inet faults input ip daddr 224.0.0.0/4 drop'
      nft 'add rule inet faults output ip daddr 224.0.0.0/4 drop'
      nft 'add rule inet faults input ip6 daddr ff02::fb drop'
      nft 'add rule inet faults output ip6 daddr ff02::fb drop'`);
  }

  /** Narrows its line, both ways; null: as fast as it goes. */
  async limit(megabitsPerSecond: number | null): Promise<void> {
    const tbf = (device: string) =>
      megabitsPerSecond === null
        ? `tc qdisc del dev ${device} root 2>/dev/null || true`
        : `tc qdisc replace dev ${device} root tbf rate ${megabitsPerSecond}mbit burst 256kb latency 50ms`;
    await this.shell(tbf("eth0"));
    await this.#hub.shell(tbf(`port${this.#number}`));
  }

  /** Makes its line long: every packet to and from it takes this much longer. Needs the ability "tun". */
  async delay(oneWayMs: number): Promise<void> {
    if (this.#line !== null) throw new Error(`The line of ${this.name} is long already`);
    const relay = fileURLToPath(new URL("long-line.ts", import.meta.url));
    const [near, far] = [`near${this.#number}`, `far${this.#number}`];
    this.#line = await this.#hub.spawn([process.execPath, relay, near, far, String(oneWayMs)]);
    const { value } = await this.#line.stdout.getReader().read();
    if (value === undefined) throw new Error(`No long line: ${await new Response(this.#line.stderr).text()}`);
    await this.#hub.shell(`
      ip link add long${this.#number} type bridge stp_state 0 forward_delay 0 mcast_snooping 0
      ip link set long${this.#number} up
      ip link set ${far} master long${this.#number} up
      ip link set port${this.#number} master long${this.#number}
      ip link set ${near} master br0 up`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#line?.kill("SIGKILL");
    if (this.#isOn) await this.#own[Symbol.asyncDispose]();
    this.#isOn = false;
  }

  async #plugIn(): Promise<void> {
    await this.#hub.shell(`
      ip link add port${this.#number} type veth peer name eth0 address ${this.#mac} netns ${this.#own.pid}
      ip link set port${this.#number} master br0 up`);
    await this.#own.shell(`
      ip link set lo up
      echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
      ip addr add ${this.ipv4}/24 brd + dev eth0
      ip addr add ${this.ipv6}/64 dev eth0 nodad
      ip link set eth0 up
      ip route add 224.0.0.0/4 dev eth0`);
  }

  /** All processes of its PID namespace except the first, which stands for the kernel. */
  #processes(): readonly number[] {
    const space = pidSpaceOf(this.#own.pid);
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0 && pid !== this.#own.pid && !isHolder(pid, this.#own.pid) && pidSpaceOf(pid) === space);
  }
}

async function boot(hub: Namespace, number: number, asUser: boolean): Promise<Namespace> {
  const machineId = String(number).padStart(32, "0");
  return await Namespace.open({
    unshare: ["--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--uts"],
    inside: hub,
    asUser,
    setup: `
      hostname ${nameOf(number)}
      mount -t tmpfs -o size=64k none /mnt
      echo ${machineId} > /mnt/machine-id
      if [ -e /etc/machine-id ]; then mount --bind /mnt/machine-id /etc/machine-id; fi
      umount -l /mnt`,
  });
}

function nameOf(number: number): string {
  return `host-${number}`;
}

function loopbackLess(rule: string, direction: Loss["direction"]): string {
  // A hook knows only one of the two interfaces.
  return direction === "in" ? rule.replace(" meta oifname != lo", "") : rule.replace("meta iifname != lo ", "");
}

function pidSpaceOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return null; // Gone, or somebody else's.
  }
}

/** Whether a process is the `cat` by which the first one waits. */
function isHolder(pid: number, first: number): boolean {
  try {
    return (
      readFileSync(`/proc/${pid}/comm`, "utf8") === "cat\n" &&
      / (\d+) /.exec(readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) \S/, ""))?.[1] === String(first)
    );
  } catch {
    return false;
  }
}
