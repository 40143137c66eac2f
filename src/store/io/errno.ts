// Error numbers of Linux (errno(3)): those that are told apart here, and errors as node:fs would throw them.

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EACCES: 13,
  EEXIST: 17,
  ENOTDIR: 20,
  EISDIR: 21,
  EXDEV: 18,
  EMLINK: 31,
  EINVAL: 22,
  ENOSYS: 38,
  ENODATA: 61,
  ELOOP: 40,
  ENOTSUP: 95,
  ENOTEMPTY: 39,
} as const;

/** Hands back a value >= 0; throws for -errno. */
export function check(result: number, action: string, path: string): number {
  if (result < 0) throw fileError(-result, action, path);
  return result;
}

/** A system error as node:fs would throw it: with `code` and `errno`. */
export function fileError(errno: number, action: string, path: string): Error {
  const code = ERRNO_NAMES[errno] ?? `errno ${errno}`;
  const error = new Error(`${code}: cannot ${action} ${JSON.stringify(path.slice(0, 300))}`);
  return Object.assign(error, { code, errno: -errno });
}

const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  5: "EIO",
  9: "EBADF",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  18: "EXDEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  26: "ETXTBSY",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  31: "EMLINK",
  36: "ENAMETOOLONG",
  39: "ENOTEMPTY",
  40: "ELOOP",
  61: "ENODATA",
  95: "ENOTSUP",
  116: "ESTALE",
  122: "EDQUOT",
};
