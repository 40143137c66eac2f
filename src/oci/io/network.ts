// Network of a context: the resolver's file, and the helper that gives a private network namespace a way out (NAT).

import { closeSync, existsSync, readFileSync } from "node:fs";
import { fail } from "../../base/errors.ts";
import { LIMITS } from "../../base/limits.ts";
import { makePipe } from "../../base/io/libc.ts";
import type { ContextNetwork } from "../runtime/context-spec.ts";

export type NetworkHelper = "slirp4netns" | "pasta";

/** A helper at work for one context. */
export interface AttachedNetwork {
  /** Ends the helper and waits for it. */
  detach(): Promise<void>;
}

/** Address inside a NAT at which both helpers answer for the host's resolver. */
const NAT_RESOLVER = "10.0.2.3";

/** The helpers that are installed, best first: slirp4netns ends by itself when mesh dies, and attaches in a third of pasta's time. */
export function networkHelpers(): readonly { readonly kind: NetworkHelper; readonly path: string }[] {
  return (["slirp4netns", "pasta"] as const).flatMap((kind) => {
    const path = Bun.which(kind) ?? [`/usr/bin/${kind}`, `/usr/local/bin/${kind}`].find((place) => existsSync(place));
    return path === undefined ? [] : [{ kind, path }];
  });
}

/** The text of /etc/resolv.conf inside; null to leave what the root has. */
export function resolverFile(network: ContextNetwork): string | null {
  switch (network) {
    case "none":
      return null;
    case "nat":
      return `nameserver ${NAT_RESOLVER}\n`;
    case "host":
      try {
        return readFileSync("/etc/resolv.conf", "utf8");
      } catch {
        return null;
      }
  }
}

/** Attaches a helper to the network namespace of a waiting context; resolves when it is configured. Throws `context.unavailable`. */
export async function attachNetwork(pid: number): Promise<AttachedNetwork> {
  const helper =
    networkHelpers()[0] ??
    fail(
      "context.unavailable",
      "Cannot give the context a network of its own: neither slirp4netns nor pasta is installed",
      {
        hint: "Install slirp4netns or passt, or use the network `host` or `none`.",
      },
    );
  return helper.kind === "slirp4netns" ? attachSlirp(helper.path, pid) : attachPasta(helper.path, pid);
}

/** slirp4netns(1): says on one descriptor that it is ready, and ends when the other one is closed, be it by mesh's death. */
async function attachSlirp(path: string, pid: number): Promise<AttachedNetwork> {
  const ready = makePipe();
  const exit = makePipe();
  const argv = [path, "--configure", "--mtu=65520", "--disable-host-loopback", "--ready-fd=3", "--exit-fd=4"];
  const namespaces = [`--userns-path=/proc/${pid}/ns/user`, "--netns-type=path", `/proc/${pid}/ns/net`, "tap0"];
  const child = Bun.spawn([...argv, ...namespaces], {
    stdio: ["ignore", "ignore", "pipe", ready.writeFd, exit.readFd],
  });
  closeSync(ready.writeFd);
  closeSync(exit.readFd);
  const said = child.stderr.text();
  const detach = async () => {
    closeSync(exit.writeFd);
    child.kill("SIGKILL");
    await child.exited;
  };
  const answer = await Bun.file(ready.readFd).text();
  closeSync(ready.readFd);
  if (answer.startsWith("1")) return { detach };
  await detach();
  return fail("context.unavailable", `Cannot attach slirp4netns to the context: ${lastLine(await said)}`);
}

/**
 * pasta(1), in the foreground: it tells nobody when it is configured, so its route is looked for. It ends with its network
 * namespace in versions since 2024; an older one outlives a mesh that is killed, which is why slirp4netns comes first.
 */
async function attachPasta(path: string, pid: number): Promise<AttachedNetwork> {
  const argv = [path, "--config-net", "--no-map-gw", "--dns-forward", NAT_RESOLVER, "--foreground", "--quiet"];
  // As root it would become "nobody", who may not enter the context's namespaces.
  if (process.getuid?.() === 0) argv.push("--runas", "0");
  const child = Bun.spawn([...argv, "--userns", `/proc/${pid}/ns/user`, "--netns", `/proc/${pid}/ns/net`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const detach = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  const deadline = performance.now() + LIMITS.contextStartMs;
  while (child.exitCode === null && performance.now() < deadline) {
    if (hasDefaultRoute(pid)) return { detach };
    await Bun.sleep(2);
  }
  await detach();
  return fail("context.unavailable", `Cannot attach pasta to the context: ${lastLine(await child.stderr.text())}`);
}

function hasDefaultRoute(pid: number): boolean {
  try {
    return /^\S+\s+00000000\s/m.test(readFileSync(`/proc/${pid}/net/route`, "utf8"));
  } catch {
    return false;
  }
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "it said nothing";
}
