// Runs commands where control groups are plain version 2, for crun, which refuses the hybrid set-up of both versions: in a mount
// namespace of its own, made once, so that this costs the command measured nothing. Needs root.

import { resolve } from "node:path";

const PREPARE = "mount --make-rprivate / && umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup";

if (import.meta.main) await serve();

/** A process in that namespace, which runs commands side by side. */
export class PlainCgroups implements AsyncDisposable {
  readonly #child;
  readonly #waiting = new Map<number, (failure: string | null) => void>();
  readonly #reading: Promise<void>;
  #asked = 0;

  constructor() {
    const script = `${PREPARE} && exec ${process.execPath} ${resolve(import.meta.path)}`;
    this.#child = Bun.spawn(["unshare", "-m", "/bin/sh", "-c", script], { stdio: ["pipe", "pipe", "ignore"] });
    this.#reading = this.#readAnswers();
  }

  /** Runs a command to its end. Throws what went wrong with it, or when there is no such namespace. */
  async run(argv: readonly string[]): Promise<void> {
    const { promise, resolve: answer } = Promise.withResolvers<string | null>();
    const id = this.#asked++;
    this.#waiting.set(id, answer);
    await this.#child.stdin.write(`${JSON.stringify([id, argv])}\n`);
    await this.#child.stdin.flush();
    const failure = await Promise.race([promise, this.#reading.then(() => "there are no plain control groups")]);
    if (failure !== null) throw new Error(failure);
  }

  async #readAnswers(): Promise<void> {
    for await (const line of linesOf(this.#child.stdout)) {
      const [id, failure] = JSON.parse(line) as [number, string | null];
      this.#waiting.get(id)?.(failure);
      this.#waiting.delete(id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.end();
    await this.#child.exited;
  }
}

/** Spawns a command as all contenders are spawned. Throws what it said when it fails. */
export async function spawned(argv: readonly string[]): Promise<void> {
  const child = Bun.spawn([...argv], { stdio: ["ignore", "pipe", "pipe"] });
  const code = await child.exited;
  if (code !== 0) throw new Error(`${argv[0] ?? ""} ended with ${code}: ${await child.stderr.text()}`);
}

async function serve(): Promise<void> {
  for await (const line of linesOf(Bun.stdin.stream())) {
    const [id, argv] = JSON.parse(line) as [number, readonly string[]];
    const answer = (failure: string | null) => process.stdout.write(`${JSON.stringify([id, failure])}\n`);
    void spawned(argv).then(
      () => answer(null),
      (error: unknown) => answer(String(error)),
    );
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}
