// Subordinate ids: reads /etc/subuid and /etc/subgid (subuid(5)). Pure.

export interface IdRange {
  readonly start: number;
  readonly count: number;
}

/** Ids 1 to this one exist inside a context with a range. */
export const RANGE_COUNT = 65_535;

/** The first range of the user, by name or by number, that is large enough; null when there is none. */
export function findRange(text: string, user: { readonly name: string; readonly id: number }): IdRange | null {
  for (const line of text.split("\n")) {
    const [owner, start, count] = line.trim().split(":");
    if (owner !== user.name && owner !== String(user.id)) continue;
    if (Number(start) > 0 && Number(count) >= RANGE_COUNT) return { start: Number(start), count: Number(count) };
  }
  return null;
}

/**
 * A map of ids 0 to 65535 to themselves, for a namespace below the one whose map this is (/proc/self/uid_map). One line for
 * each of its lines: an extent may not span two extents of the parent (user_namespaces(7)).
 */
export function sameIds(parentMap: string): string {
  const lines = parentMap.split("\n").flatMap((line) => {
    const [inside = Number.NaN, , count = Number.NaN] = line.trim().split(/\s+/).map(Number);
    const last = Math.min(inside + count, RANGE_COUNT + 1);
    return last > inside ? [`${inside} ${inside} ${last - inside}`] : [];
  });
  return lines.join("\n");
}

/** Whether the ids of a range that a context gets exist in a user namespace, whose map (/proc/self/uid_map) this is. */
export function mapHolds(map: string, { start }: IdRange): boolean {
  return map.split("\n").some((line) => {
    const [inside = Number.NaN, , count = Number.NaN] = line.trim().split(/\s+/).map(Number);
    return start >= inside && start + RANGE_COUNT <= inside + count;
  });
}

/** Whether a map (/proc/self/uid_map) has more ids than one. */
export function mapsManyIds(map: string): boolean {
  const counts = map.split("\n").map((line) => Number(line.trim().split(/\s+/)[2] ?? 0));
  return counts.reduce((sum, count) => sum + count, 0) > 1;
}

/** Whether a map is that of the machine's own user namespace, in which every id is itself. */
export function isInitialMap(map: string): boolean {
  const [inside, outside, count] = map.trim().split(/\s+/).map(Number);
  return inside === 0 && outside === 0 && count === 0xffffffff;
}

/** The name of a user id in the text of /etc/passwd, null when it has none there. */
export function nameOfUser(passwd: string, uid: number): string | null {
  for (const line of passwd.split("\n")) {
    const [name, , id] = line.split(":");
    if (name && id === String(uid)) return name;
  }
  return null;
}
