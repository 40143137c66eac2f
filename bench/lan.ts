// A LAN for benchmarks, out of network namespaces: a bridge in one of its own, a namespace for each machine, lines of a given rate
// both ways (tc-tbf(8)). Needs root. All of it goes with the scope.

import { spawnSync } from "node:child_process";

export interface Line {
  readonly namespace: string;
  readonly address: string;
}

export class Lan implements Disposable {
  readonly lines: readonly Line[];
  readonly #hub = `mb${process.pid}h`;

  /** Whether this machine lets us make one. */
  static get isPossible(): boolean {
    return process.getuid?.() === 0 && Bun.which("ip") !== null && Bun.which("tc") !== null;
  }

  /** `mbit`: rate of each machine's line, both ways; null for as fast as it goes. */
  constructor(count: number, mbit: number | null) {
    this.lines = Array.from({ length: count }, (_, at) => ({
      namespace: `mb${process.pid}m${at}`,
      address: `10.77.0.${at + 1}`,
    }));
    try {
      ip("netns", "add", this.#hub);
      this.#inHub("ip", "link", "add", "br0", "type", "bridge");
      this.#inHub("ip", "addr", "add", "10.77.0.254/24", "dev", "br0");
      for (const device of ["lo", "br0"]) this.#inHub("ip", "link", "set", device, "up");
      for (const [at, line] of this.lines.entries()) this.#addLine(line, `p${at}`, mbit);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The argv that runs `argv` on machine number `at`; -1 is the bridge, with address 10.77.0.254. */
  on(at: number, argv: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.lines[at]?.namespace ?? this.#hub, ...argv];
  }

  /** Bytes that left machine number `at`, with the heads of their packets. */
  sentBytes(at: number): number {
    const [name = "", ...rest] = this.on(at, ["cat", "/sys/class/net/eth0/statistics/tx_bytes"]);
    return Number(spawnSync(name, rest, { encoding: "utf8" }).stdout);
  }

  [Symbol.dispose](): void {
    for (const namespace of [...this.lines.map((line) => line.namespace), this.#hub])
      spawnSync("ip", ["netns", "del", namespace], { stdio: "ignore" });
  }

  #addLine({ namespace, address }: Line, port: string, mbit: number | null): void {
    ip("netns", "add", namespace);
    this.#inHub("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    this.#inHub("ip", "link", "set", port, "master", "br0", "up");
    const inside = (...argv: string[]): void => run("ip", "netns", "exec", namespace, ...argv);
    inside("ip", "addr", "add", `${address}/24`, "dev", "eth0");
    for (const device of ["lo", "eth0"]) inside("ip", "link", "set", device, "up");
    if (mbit === null) return;
    const shape = ["root", "tbf", "rate", `${mbit}mbit`, "burst", "256kb", "latency", "50ms"];
    inside("tc", "qdisc", "add", "dev", "eth0", ...shape);
    this.#inHub("tc", "qdisc", "add", "dev", port, ...shape);
  }

  #inHub(...argv: string[]): void {
    run("ip", "netns", "exec", this.#hub, ...argv);
  }
}

function ip(...argv: string[]): void {
  run("ip", ...argv);
}

function run(...argv: string[]): void {
  const { status, stderr } = spawnSync(argv[0] ?? "", argv.slice(1), { encoding: "utf8" });
  if (status !== 0) throw new Error(`${argv.join(" ")}: ${stderr.trim()}`);
}
