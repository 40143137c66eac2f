// A mesh on a LAN of namespaces: a node on each host, and what each of them says, to wait for.

import { fileURLToPath } from "node:url";
import { parsePeerId } from "../../../src/base/ids.ts";
import { makeMeshHomes } from "../mesh-homes.ts";
import { temporaryFolder, type TemporaryFolder } from "../temporary.ts";
import type { LanHost } from "./lan.ts";
import type { NamespaceProcess } from "./namespace.ts";

const NODE = fileURLToPath(new URL("node.ts", import.meta.url));

/** What a node said: a line of node.ts. */
export interface Said {
  /** Unix time with fractions. */
  readonly atMs: number;
  readonly change?: string;
  readonly peer?: string;
  readonly reason?: string | null;
  readonly notice?: string;
  readonly opened?: number;
  readonly startMs?: number;
  readonly faults?: readonly string[];
  readonly list?: readonly { readonly name: string; readonly state: string; readonly reason: string | null }[];
  readonly failed?: string;
  readonly message?: string;
  readonly id?: string;
  readonly code?: string;
}

/** Names are "a", "b", ... in the order of the hosts; "a" founded the mesh. */
export class MeshOnLan implements AsyncDisposable {
  readonly #folder: TemporaryFolder = temporaryFolder();
  readonly nodes: readonly LanNode[];

  private constructor(hosts: readonly LanHost[]) {
    this.nodes = hosts.map((host, at) => {
      const name = String.fromCodePoint("a".codePointAt(0)! + at);
      return new LanNode(host, name, this.#folder.join(name));
    });
  }

  static async on(hosts: readonly LanHost[]): Promise<MeshOnLan> {
    const mesh = new MeshOnLan(hosts);
    const homes = [];
    for (const node of mesh.nodes) homes.push({ folder: node.folder, name: node.name, id: await node.prepare() });
    makeMeshHomes(homes);
    return mesh;
  }

  node(at: number): LanNode {
    const node = this.nodes[at];
    if (node === undefined) throw new Error(`No node ${at}`);
    return node;
  }

  async startAll(flags: readonly string[] = []): Promise<void> {
    await Promise.all(this.nodes.map(async (node) => await node.start(flags)));
  }

  /** Waits until all nodes see all others up. */
  async allUp(): Promise<void> {
    for (const node of this.nodes)
      for (const other of this.nodes) if (other !== node) await node.heard("up", other.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) node.kill();
    this.#folder[Symbol.dispose]();
  }
}

export class LanNode {
  readonly host: LanHost;
  readonly name: string;
  readonly folder: string;
  readonly said: Said[] = [];
  #process: NamespaceProcess | null = null;
  #wake = Promise.withResolvers<void>();
  #errors = "";

  constructor(host: LanHost, name: string, folder: string) {
    this.host = host;
    this.name = name;
    this.folder = folder;
  }

  /** Makes its identity, on its own host: identities are bound to machines. */
  async prepare() {
    const { stdout, stderr } = await this.host.run([process.execPath, NODE, "prepare", this.folder]);
    const id = parsePeerId((JSON.parse(stdout || "{}") as Said).id ?? "");
    if (id === null) throw new Error(`No identity: ${stderr}`);
    return id;
  }

  /** Runs a command of node.ts to its end. */
  async once([command = "", ...flags]: readonly string[]): Promise<void> {
    const { exitCode, stderr } = await this.host.run([process.execPath, NODE, command, this.folder, ...flags]);
    if (exitCode !== 0) throw new Error(`${this.name} cannot ${command}: ${stderr}`);
  }

  async start(flags: readonly string[] = []): Promise<void> {
    this.#process = await this.host.spawn([process.execPath, NODE, "run", this.folder, ...flags]);
    void this.#read(this.#process.stdout);
    void new Response(this.#process.stderr).text().then((text) => (this.#errors += text));
    await this.find(({ opened }) => opened !== undefined);
  }

  async say(line: string): Promise<void> {
    await this.#process?.stdin.write(`${line}\n`);
    await this.#process?.stdin.flush();
  }

  kill(): void {
    this.#process?.kill("SIGKILL");
  }

  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  /** What it said first, after a time, of another node. Waits for it. */
  async heard(change: string, peer: string, sinceMs = 0): Promise<Said> {
    return await this.find((said) => said.change === change && said.peer === peer && said.atMs >= sinceMs);
  }

  async find(isIt: (said: Said) => boolean): Promise<Said> {
    for (;;) {
      const found = this.said.find(isIt);
      if (found !== undefined) return found;
      const { promise } = this.#wake;
      const timer = setTimeout(() => this.#wake.reject(new Error(this.#complaint())), 15_000);
      await promise.finally(() => clearTimeout(timer));
    }
  }

  #complaint(): string {
    return `${this.name} did not say it. It said: ${JSON.stringify(this.said, null, 1)}\n${this.#errors}`;
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const piece of stream) {
      const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      this.said.push(...lines.map((line) => JSON.parse(line) as Said));
      const { resolve } = this.#wake;
      this.#wake = Promise.withResolvers<void>();
      resolve();
    }
  }
}
