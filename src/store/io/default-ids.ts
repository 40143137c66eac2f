// The id maps of this process when nothing else is said.

import { type IdMaps, IDENTITY_IDS, singleId } from "../ids.ts";

/** Root's ids are themselves inside; an ordinary user is root inside. */
export function defaultIds(): IdMaps {
  const uid = process.geteuid?.() ?? 0;
  return uid === 0 ? IDENTITY_IDS : singleId(uid, process.getegid?.() ?? 0);
}
