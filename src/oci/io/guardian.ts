// A process that outlives mesh, however that ends: it waits for mesh's end of a socket to close, and becomes then the program that
// cleans up. It has a page of memory and no descriptor but the socket.

import { REPORT_FD } from "../runtime/emit.ts";
import { address, ANYWAY, call, type SetupProgram } from "../runtime/setup-op.ts";
import { type SpawnedImage, spawnImage } from "./spawn-image.ts";

export class Guardian {
  readonly #waiting: SpawnedImage;

  private constructor(waiting: SpawnedImage) {
    this.#waiting = waiting;
  }

  /** Starts it. `argv` (its first word is an absolute path) runs when this process ends without having dismissed it. */
  static start(argv: readonly string[], env: Readonly<Record<string, string>>): Guardian {
    const waiting = spawnImage(programOf(argv, env), { name: "mesh-guardian" });
    // nobody waits for it
    waiting.process.unref();
    return new Guardian(waiting);
  }

  get pid(): number {
    return this.#waiting.pid;
  }

  /** There is nothing left to clean up: resolves when it has ended. */
  async dismiss(): Promise<void> {
    const { process } = this.#waiting;
    process.ref();
    // one that somebody ended has nothing to hear
    if (await this.#waiting.send(new Uint8Array(1))) await process.exited;
    this.#waiting.closeReport();
  }
}

function programOf(argv: readonly string[], env: Readonly<Record<string, string>>): SetupProgram {
  const environment = Object.entries(env).map(([name, text]) => `${name}=${text}`);
  return {
    variables: {},
    operations: [
      call("leave the terminal's session", "setsid", [], ANYWAY),
      // whoever runs mesh may have told Bun to let its children die with it
      call("outlive mesh", "prctl", [1, 0, 0, 0, 0], ANYWAY),
      call("take a name that people know", "prctl", [15, "mesh-guardian", 0, 0, 0], ANYWAY),
      call("leave the working directory", "chdir", ["/"], ANYWAY),
      call("close inherited descriptors", "close_range", [REPORT_FD + 1, 0xffffffff, 0]),
      call("wait for a word, or for mesh to end", "read", [REPORT_FD, address("byte"), 1], {
        onResult: { is: 1, goTo: { label: "dismissed" } },
      }),
      call(`exec ${argv[0] ?? ""}`, "execve", [
        argv[0] ?? "",
        { kind: "strings", strings: argv },
        { kind: "strings", strings: environment },
      ]),
      { kind: "label", label: "dismissed" },
      call("end", "exit_group", [0]),
    ],
  };
}
