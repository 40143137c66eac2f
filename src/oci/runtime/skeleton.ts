// The lowest directory of every context's overlay, as a list: mount points for what the plan mounts and, over the host's root,
// empty directories in place of what is the person's and not the system's. Pure; io/host-root.ts writes it to disk.

import { isWithin } from "./mount-info.ts";

export type SkeletonEntry =
  /** A directory that shows what lies below it in the stack too; its mode is that of the host's directory when there is one. */
  | { readonly kind: "merged"; readonly path: string; readonly mode: number }
  /** A directory that hides whatever lies below it. */
  | { readonly kind: "empty"; readonly path: string; readonly mode: number }
  /** A file in place of the host's one. */
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: string }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

export interface SkeletonFacts {
  readonly root: "host" | "layers";
  /** The top of the host's root, when that is shown in parts; null when it is shown as a whole. */
  readonly parts: HostTop | null;
  /** Whether only one id is mapped. */
  readonly singleId: boolean;
  /** Home directories of people, as real paths. */
  readonly homes: readonly string[];
  /** Mesh's own state, as a real path. */
  readonly meshHome: string;
  /** Files of the host that are secret, of those that exist: ssh host keys and the like. */
  readonly secretFiles: readonly string[];
  /** Directories of the host that are secret, of those that exist. */
  readonly secretDirectories: readonly string[];
}

/** What stands at the top of the host's root and is visible. */
export interface HostTop {
  readonly links: Readonly<Record<string, string>>;
  /** Directories that are bound or overlaid. */
  readonly directories: readonly string[];
  /** Directories that the context's root may write to, though the machine's root owns them. */
  readonly writable: readonly string[];
}

/** Directories of the host that are private to its people or its present moment, with the modes they have when empty. */
export const PRIVATE_DIRECTORIES: Readonly<Record<string, number>> = {
  "/home": 0o755,
  "/root": 0o700,
  "/run": 0o755,
  "/tmp": 0o1777,
  "/var/tmp": 0o1777,
  "/mnt": 0o755,
  "/media": 0o755,
  "/srv": 0o755,
};

/** Places of secrets that a task running with root's ids could read; looked for by io/host-root.ts. */
export const SECRET_FILES: readonly string[] = [
  "/etc/shadow",
  "/etc/shadow-",
  "/etc/gshadow",
  "/etc/gshadow-",
  "/etc/security/opasswd",
  "/etc/krb5.keytab",
  "/etc/ipsec.secrets",
  "/etc/ppp/chap-secrets",
  "/etc/ppp/pap-secrets",
  "/etc/mysql/debian.cnf",
];
export const SECRET_DIRECTORIES: readonly string[] = [
  "/etc/ssl/private",
  "/etc/pki/tls/private",
  "/etc/letsencrypt",
  "/etc/wireguard",
  "/etc/openvpn",
  "/etc/NetworkManager/system-connections",
  "/etc/cups/ssl",
  "/var/lib/docker",
  "/var/lib/containers",
  "/var/lib/kubelet",
  "/var/lib/private",
  "/var/lib/systemd/coredump",
  "/var/spool/cron",
  "/var/spool/mail",
  "/var/mail",
  "/var/crash",
];

/** All entries, parents before children, each path once. */
export function skeletonEntries(facts: SkeletonFacts): readonly SkeletonEntry[] {
  const entries = new Map<string, SkeletonEntry>();
  const add = (entry: SkeletonEntry) => {
    for (const parent of parentsOf(entry.path)) {
      const above = entries.get(parent);
      if (above === undefined) entries.set(parent, { kind: "merged", path: parent, mode: 0o755 });
      else if (above.kind === "empty" && entry.kind === "file") return;
    }
    entries.set(entry.path, entry);
  };
  for (const entry of facts.root === "host" ? hostEntries(facts) : layersEntries()) {
    // "merged" is the weakest wish.
    if (entry.kind !== "merged" || !entries.has(entry.path)) add(entry);
  }
  for (const path of ["/workspace", "/mesh"])
    add({ kind: facts.root === "host" ? "empty" : "merged", path, mode: 0o755 });
  if (facts.singleId) {
    // apt would change to the user _apt, whom a single id does not have.
    add({
      kind: "file",
      path: "/etc/apt/apt.conf.d/99single-id",
      mode: 0o644,
      content: 'APT::Sandbox::User "root";\n',
    });
  }
  return [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Directories that a host skeleton hides. */
export function hiddenDirectories(facts: SkeletonFacts): readonly string[] {
  const wanted = [...Object.keys(PRIVATE_DIRECTORIES), ...facts.secretDirectories, ...facts.homes, facts.meshHome];
  return wanted.filter(
    (path, index) =>
      !wanted.some((outer, at) => at !== index && isWithin(path, outer) && (path !== outer || at < index)),
  );
}

/** Home directories of root and of people (uid 1000 and above) in the text of /etc/passwd; a system directory is no home. */
export function homesOf(passwd: string): readonly string[] {
  const homes = passwd.split("\n").flatMap((line) => {
    const [, , uid, , , home = ""] = line.split(":");
    const isPerson = uid === "0" || (Number(uid) >= 1000 && uid !== "65534");
    return isPerson && home.startsWith("/") && !SYSTEM_DIRECTORIES.has(home) ? [home.replace(/\/+$/, "") || "/"] : [];
  });
  return [...new Set(homes)].filter((home) => home !== "/").sort();
}

const SYSTEM_DIRECTORIES = new Set(
  "/ /bin /boot /dev /etc /lib /lib64 /nonexistent /opt /proc /sbin /sys /usr /usr/bin /usr/sbin /usr/local /var /var/empty /var/lib".split(
    " ",
  ),
);

function hostEntries(facts: SkeletonFacts): readonly SkeletonEntry[] {
  const modes = new Map(Object.entries(PRIVATE_DIRECTORIES));
  return [
    ...hiddenDirectories(facts).map((path): SkeletonEntry => ({ kind: "empty", path, mode: modes.get(path) ?? 0o755 })),
    // Empty and not absent: useradd and the like append to them.
    ...(facts.parts === null ? [] : partsEntries(facts.parts)),
    ...facts.secretFiles.map((path): SkeletonEntry => ({ kind: "file", path, mode: 0o600, content: "" })),
  ];
}

function partsEntries({ links, directories, writable }: HostTop): readonly SkeletonEntry[] {
  return [
    ...Object.entries(links).map(([path, target]): SkeletonEntry => ({ kind: "link", path, target })),
    ...[...directories, ...writable, "/dev", "/proc", "/sys"].map((path): SkeletonEntry => ({
      kind: "merged",
      path,
      mode: 0o755,
    })),
  ];
}

/** Below an image: what images may lack. The image's own entries win. */
function layersEntries(): readonly SkeletonEntry[] {
  const directories: Readonly<Record<string, number>> = {
    "/dev": 0o755,
    "/etc": 0o755,
    "/proc": 0o555,
    "/root": 0o700,
    "/run": 0o755,
    "/sys": 0o555,
    "/tmp": 0o1777,
    "/var/tmp": 0o1777,
  };
  return [
    ...Object.entries(directories).map(([path, mode]): SkeletonEntry => ({ kind: "merged", path, mode })),
    { kind: "file", path: "/etc/resolv.conf", mode: 0o644, content: "" },
    { kind: "file", path: "/etc/hosts", mode: 0o644, content: "127.0.0.1 localhost\n::1 localhost\n" },
  ];
}

function parentsOf(path: string): readonly string[] {
  const parts = path.split("/").slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}
