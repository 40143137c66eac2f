// Reads /proc/self/mountinfo (proc_pid_mountinfo(5)). Pure.

export interface MountPoint {
  /** "major:minor" of the filesystem. */
  readonly device: string;
  /** Directory of the filesystem that is the root of this mount. */
  readonly root: string;
  readonly path: string;
  readonly options: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Options of the filesystem (not of the mount): cgroup controllers, for one. */
  readonly superOptions: readonly string[];
}

/** All mounts, in the order of the file: a later one on the same path covers an earlier one. */
export function parseMountInfo(text: string): readonly MountPoint[] {
  return text.split("\n").flatMap((line) => {
    const [left = "", right] = line.split(" - ");
    if (right === undefined) return [];
    const [, , device = "", root = "", path = "", options = ""] = left.split(" ");
    const [type = "", source = "", superOptions = ""] = right.split(" ");
    return [
      {
        device,
        root: unescape(root),
        path: unescape(path),
        options: options.split(","),
        type,
        source: unescape(source),
        superOptions: superOptions.split(","),
      },
    ];
  });
}

/** The mount that a path lies on. */
export function mountOf(mounts: readonly MountPoint[], path: string): MountPoint | null {
  let best: MountPoint | null = null;
  for (const mount of mounts) {
    if (isWithin(path, mount.path) && (best === null || mount.path.length >= best.path.length)) best = mount;
  }
  return best;
}

/** Whether `path` is `directory` or lies below it. Both are absolute and normal. */
export function isWithin(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** Filesystems that hold a system's files. All others (proc, tmpfs, fuse of a user, autofs) stay out of sight. */
const SYSTEM_FILESYSTEMS = new Set(
  "ext2 ext3 ext4 xfs btrfs f2fs jfs reiserfs zfs bcachefs erofs squashfs nfs nfs4 virtiofs 9p overlay vfat".split(" "),
);

/**
 * Mount points of other filesystems that belong to the visible part of the host's root, outermost first. `hidden` lists
 * directories that are out of sight; snap images are left out too, because there may be dozens.
 */
export function visibleHostMounts(mounts: readonly MountPoint[], hidden: readonly string[]): readonly string[] {
  const outOfSight = [
    ...hidden,
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/snap",
    "/var/lib/snapd",
    "/var/lib/docker",
    "/var/lib/containers",
  ];
  const paths = mounts
    .filter((mount) => mount.path !== "/" && SYSTEM_FILESYSTEMS.has(mount.type))
    .map((mount) => mount.path)
    .filter((path) => !outOfSight.some((directory) => isWithin(path, directory)));
  const unique = [...new Set(paths)].sort();
  // A recursive bind of the outer one brings the inner one along.
  return unique.filter((path) => !unique.some((outer) => outer !== path && isWithin(path, outer)));
}

/** Spaces, tabs, newlines and backslashes are written in octal. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
