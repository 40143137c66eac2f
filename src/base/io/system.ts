// The real randomness.

import type { Random } from "../ports.ts";

export const systemRandom: Random = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};
