// Amounts as people write them (CPU, memory, durations) and back. Amounts inside are integers: milli-CPU, bytes, ms.

const BYTE_UNITS = new Map([
  ["", 1],
  ["b", 1],
  ["k", 1024],
  ["kb", 1024],
  ["kib", 1024],
  ["m", 1024 ** 2],
  ["mb", 1024 ** 2],
  ["mib", 1024 ** 2],
  ["g", 1024 ** 3],
  ["gb", 1024 ** 3],
  ["gib", 1024 ** 3],
  ["t", 1024 ** 4],
  ["tb", 1024 ** 4],
  ["tib", 1024 ** 4],
]);

const MS_UNITS = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["sec", 1_000],
  ["secs", 1_000],
  ["second", 1_000],
  ["seconds", 1_000],
  ["m", 60_000],
  ["min", 60_000],
  ["mins", 60_000],
  ["minute", 60_000],
  ["minutes", 60_000],
  ["h", 3_600_000],
  ["hr", 3_600_000],
  ["hrs", 3_600_000],
  ["hour", 3_600_000],
  ["hours", 3_600_000],
  ["d", 86_400_000],
  ["day", 86_400_000],
  ["days", 86_400_000],
  ["w", 604_800_000],
  ["week", 604_800_000],
  ["weeks", 604_800_000],
]);

/** "16gb", "512 MiB", "1.5g" or bare bytes to bytes (powers of 1024); null when it is no such amount. */
export function parseBytes(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = BYTE_UNITS.get((match?.[2] ?? "?").toLowerCase());
  if (!match || unit === undefined) return null;
  const bytes = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** "30m", "1h30m", "2 hrs", "90 seconds" to milliseconds; null when it is no duration. A bare number is refused. */
export function parseDuration(text: string): number | null {
  const part = /\s*(\d+(?:\.\d+)?)\s*([a-z]+)/giy;
  let total = 0;
  let end = 0;
  for (let match = part.exec(text); match; match = part.exec(text)) {
    const unit = MS_UNITS.get((match[2] ?? "").toLowerCase());
    if (unit === undefined) return null;
    total += Number(match[1]) * unit;
    end = part.lastIndex;
  }
  if (end === 0 || text.slice(end).trim() !== "") return null;
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : null;
}

/** "2", "0.5" or "500m" to thousandths of a CPU; null when it is no such amount or not above zero. */
export function parseCpus(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)(m?)\s*$/.exec(text);
  if (!match) return null;
  const milli = Math.round(Number(match[1]) * (match[2] === "m" ? 1 : 1000));
  return Number.isSafeInteger(milli) && milli > 0 ? milli : null;
}

/** Bytes for people: "512 B", "1.5 KiB", "16 GiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const shown = value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
  return `${shown} ${units[unit] ?? ""}`;
}

/** A duration for people: "3 ms", "1.2 s", "2m 05s", "3h 10m". */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${String(seconds % 60).padStart(2, "0")}s`;
  return `${Math.floor(seconds / 3_600)}h ${String(Math.floor((seconds % 3_600) / 60)).padStart(2, "0")}m`;
}

/** Thousandths of a CPU for people: "2", "0.5". */
export function formatCpus(milli: number): string {
  return String(milli / 1000);
}
