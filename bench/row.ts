// One line of the performance table: a figure of ours beside a peer's or a limit's from the same run, and their ratio.

export interface Row {
  readonly what: string;
  /** Ours, in the unit of `unit`. */
  readonly ours: number;
  readonly unit: "s" | "ms" | "MB" | "µs";
  /** What it is compared with; null where the peer is not installed. */
  readonly other: { readonly name: string; readonly value: number } | null;
  /** The most that ours may be, as a factor of `other`. */
  readonly most: number | null;
}

/** Middle of several measurements. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The rows as a Markdown table. */
export function markdownTable(rows: readonly Row[]): string {
  const lines = ["| What | mesh | beside | ratio | aim |", "|---|---:|---:|---:|---:|"];
  for (const { what, ours, unit, other, most } of rows) {
    const ratio = other === null ? "–" : (ours / other.value).toFixed(2);
    const beside = other === null ? "–" : `${other.name}: ${amount(other.value)} ${unit}`;
    lines.push(`| ${what} | ${amount(ours)} ${unit} | ${beside} | ${ratio} | ${most === null ? "–" : `≤ ${most}`} |`);
  }
  return `${lines.join("\n")}\n`;
}

function amount(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
