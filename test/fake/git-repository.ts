// A real git repository in a temporary folder, with one commit on `main`. It asks nothing of the user's configuration.

import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryFolder } from "../support/temporary.ts";

const NOBODY = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
const ENVIRONMENT = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null", GIT_ALLOW_PROTOCOL: "file" };

export class TestRepository implements Disposable {
  readonly #folder = temporaryFolder();
  readonly path = this.#folder.join("repository");

  constructor(files: Readonly<Record<string, string>>) {
    mkdirSync(this.path);
    this.git("init", "-q", "-b", "main");
    for (const [path, content] of Object.entries(files)) this.write(path, content);
    this.commit("first");
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }

  write(path: string, content: string, mode = 0o644): void {
    const full = join(this.path, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    chmodSync(full, mode);
  }

  commit(message: string): string {
    this.git("add", "-A");
    this.git("commit", "-q", "--allow-empty", "-m", message);
    return this.git("rev-parse", "HEAD");
  }

  /** Runs git in the repository; its output without the last newline. Throws what it said. */
  git(...args: readonly string[]): string {
    const { exitCode, stdout, stderr } = Bun.spawnSync(
      ["git", ...NOBODY, "-c", "protocol.file.allow=always", ...args],
      {
        cwd: this.path,
        env: { PATH: process.env["PATH"] ?? "", HOME: this.path, ...ENVIRONMENT },
      },
    );
    if (exitCode !== 0) throw new Error(stderr.toString());
    return stdout.toString().trimEnd();
  }
}
