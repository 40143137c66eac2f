// Identifiers of runs, tasks and machines: safe in a path, a URL and a shell.

/** A run's id: 10 characters of time and 8 of randomness, lower-case Crockford base 32. */
export type RunId = string & { readonly __runId: true };

/** A task attempt's id inside the whole mesh: `<run id>.<task key>`. */
export type TaskId = string & { readonly __taskId: true };

/** A machine of the mesh: its Ed25519 public key as 64 lower-case hex digits. */
export type PeerId = string & { readonly __peerId: true };

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const RUN_ID = /^[0-9a-hjkmnp-tv-z]{18}$/;
const PEER_ID = /^[0-9a-f]{64}$/;

/** Makes a run id. `nowMs` is Unix time; `random` gives at least 5 bytes. */
export function makeRunId(nowMs: number, random: Uint8Array): RunId {
  let time = "";
  for (let rest = Math.floor(nowMs), digits = 0; digits < 10; digits++, rest = Math.floor(rest / 32)) {
    time = ALPHABET.charAt(rest % 32) + time;
  }
  let bits = 0n;
  for (const byte of random.subarray(0, 5)) bits = (bits << 8n) | BigInt(byte);
  let tail = "";
  for (let digits = 0; digits < 8; digits++, bits >>= 5n) tail += ALPHABET.charAt(Number(bits & 31n));
  return (time + tail) as RunId;
}

/** Reads a full run id; null when the text cannot be one. */
export function parseRunId(text: string): RunId | null {
  return RUN_ID.test(text) ? (text as RunId) : null;
}

/** Joins a run and a task key to the task's id. */
export function makeTaskId(run: RunId, key: string): TaskId {
  return `${run}.${key}` as TaskId;
}

/** The id of the machine with this Ed25519 public key of 32 bytes. */
export function peerIdOf(publicKey: Uint8Array): PeerId {
  return publicKey.toHex() as PeerId;
}

/** Reads a full peer id; null when the text cannot be one. */
export function parsePeerId(text: string): PeerId | null {
  return PEER_ID.test(text) ? (text as PeerId) : null;
}

/** First 8 hex digits, for people. */
export function shortPeer(peer: PeerId): string {
  return peer.slice(0, 8);
}
