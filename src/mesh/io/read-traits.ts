// Reads by what this machine can be known again. It never keeps what it reads.

import { readdirSync, realpathSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { readText, readTextOrNull } from "../../base/io/text-files.ts";
import type { MachineTraits } from "../machine-traits.ts";

/** Traits of this machine. `root` is where /etc and /sys are looked for. */
export function readMachineTraits(root = "/"): MachineTraits {
  return {
    machineId: trimmed(readTextOrNull(join(root, "etc/machine-id"))),
    productUuid: trimmed(readTextOrNull(join(root, "sys/class/dmi/id/product_uuid"))),
    macAddresses: macAddresses(root),
    diskSerials: diskSerials(root),
  };
}

/** Addresses of interfaces that are devices, not of bridges, tunnels or pairs; and those that are the device's own, not made up. */
function macAddresses(root: string): readonly string[] {
  if (process.platform !== "linux") {
    const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    return unique(all.filter(({ internal }) => !internal).map(({ mac }) => mac));
  }
  const folder = join(root, "sys/class/net");
  const isOwn = (name: string) =>
    isThere(join(folder, name, "device")) && readText(join(folder, name, "addr_assign_type")).trim() === "0";
  return unique(
    namesIn(folder)
      .filter(isOwn)
      .map((name) => readText(join(folder, name, "address")).trim()),
  );
}

function diskSerials(root: string): readonly string[] {
  const folder = join(root, "sys/block");
  return unique(
    namesIn(folder).map((name) =>
      ["wwid", "device/wwid", "device/serial", "serial"]
        .map((file) => readText(join(folder, name, file)).trim())
        .find((text) => text !== ""),
    ),
  );
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isThere(path: string): boolean {
  try {
    realpathSync(path);
    return true;
  } catch {
    return false;
  }
}

function unique(texts: readonly (string | undefined)[]): readonly string[] {
  const isSome = (text: string | undefined): text is string =>
    text !== undefined && text !== "" && !/^[0:]+$/.test(text);
  return [...new Set(texts.filter(isSome))];
}

function trimmed(text: string | null): string | null {
  const value = text?.trim().toLowerCase() ?? "";
  return value === "" || value === "uninitialized" ? null : value;
}
