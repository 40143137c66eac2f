// One machine of the content benchmark, in a process of its own: serves its store, and fetches what its standard input asks for.
// A line of JSON in, a line of JSON out.

import { createInterface } from "node:readline";
import type { ContentRef } from "../src/mesh/content.ts";
import { MeshContent } from "../src/mesh/io/content-exchange.ts";
import { Store } from "../src/store/io/store.ts";
import { LinkedPeers, type LinkedMember } from "../test/mesh/io/linked-peers.ts";
import type { LinksOptions } from "../src/mesh/io/links.ts";

export interface MachineSetup {
  readonly key: LinksOptions["identity"];
  readonly home: string;
  readonly members: readonly LinkedMember[];
}

export type MachineCommand =
  | { readonly do: "connect" }
  | { readonly do: "fetch"; readonly wanted: readonly ContentRef[] };

export interface MachineAnswer {
  readonly ms: number;
  readonly cpuMs: number;
  readonly receivedBytes: number;
}

if (import.meta.main) {
  const setup = JSON.parse(await Bun.file(process.argv[2] ?? "").text()) as MachineSetup;
  using store = Store.open(setup.home);
  const peers = new LinkedPeers(setup.key, setup.members);
  const content = new MeshContent({ store, peers });
  const own = setup.members.find(({ id }) => id === setup.key.id)?.address;
  peers.links.listen({ hostname: own?.host ?? "127.0.0.1", port: own?.port ?? 0 });
  answer({ ms: 0, cpuMs: 0, receivedBytes: 0 });
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line) as MachineCommand;
    const started = performance.now();
    const cpu = process.cpuUsage();
    let receivedBytes = 0;
    if (command.do === "connect") await peers.connect();
    else receivedBytes = (await content.fetch(command.wanted)).receivedBytes;
    const { user, system } = process.cpuUsage(cpu);
    answer({ ms: performance.now() - started, cpuMs: (user + system) / 1e3, receivedBytes });
  }
  process.exit(0);
}

function answer(value: MachineAnswer): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
