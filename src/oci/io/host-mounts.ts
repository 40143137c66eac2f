// The mount namespace with the host's root, from which contexts over it are made. Made once, kept by a descriptor.

import { closeSync, openSync } from "node:fs";
import { fail } from "../../base/errors.ts";
import { PID_RECORD } from "../runtime/emit.ts";
import { hostMountsProgram } from "../runtime/plan-root.ts";
import { spawnImage } from "./spawn-image.ts";

export class HostMounts {
  #fd: Promise<number> | null = null;

  /** Its descriptor. `hostBind` is the directory that "/" is bound to. Throws `context.unavailable`. */
  open(hostBind: string): Promise<number> {
    return (this.#fd ??= openHostMounts(hostBind));
  }

  async close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = null;
    if (fd !== null) await fd.then(closeSync, () => undefined);
  }
}

async function openHostMounts(hostBind: string): Promise<number> {
  const holder = spawnImage(hostMountsProgram(hostBind), { name: "mesh-host-mounts" });
  try {
    for await (const record of holder.records()) {
      if (record.word === PID_RECORD) return openSync(`/proc/${holder.pid}/ns/mnt`, "r");
      fail("context.unavailable", `Cannot show the host's root in contexts: ${holder.describe(record)}`);
    }
    return fail("context.unavailable", "Cannot show the host's root in contexts: the mount namespace was not made");
  } finally {
    await holder.end();
  }
}
