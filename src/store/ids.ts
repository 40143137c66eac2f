// How owners on disk and owners inside a context answer to one another: the uid_map of a user namespace, as data.

/** `count` ids from `inside` on are those from `outside` on (user_namespaces(7)). */
export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

export interface IdMaps {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

/** What an id without a mapping looks like inside (/proc/sys/kernel/overflowuid). */
export const OVERFLOW_ID = 65_534;

const ALL: readonly IdRange[] = [{ inside: 0, outside: 0, count: 0xffff_ffff }];

/** Every id is itself: what root uses. */
export const IDENTITY_IDS: IdMaps = { uids: ALL, gids: ALL };

/** One user and one group become root inside: what an ordinary user has without a subordinate range. */
export function singleId(uid: number, gid: number): IdMaps {
  return { uids: [{ inside: 0, outside: uid, count: 1 }], gids: [{ inside: 0, outside: gid, count: 1 }] };
}

/** The id inside of an id on disk. */
export function insideId(ranges: readonly IdRange[], outside: number): number {
  for (const range of ranges) {
    if (outside >= range.outside && outside - range.outside < range.count)
      return range.inside + outside - range.outside;
  }
  return OVERFLOW_ID;
}

/** The id on disk of an id inside; null when none stands for it. */
export function outsideId(ranges: readonly IdRange[], inside: number): number | null {
  for (const range of ranges) {
    if (inside >= range.inside && inside - range.inside < range.count) return range.outside + inside - range.inside;
  }
  return null;
}
