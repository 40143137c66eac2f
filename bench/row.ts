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

/** The rows as a Markdown table, its columns aligned as the formatter would. */
export function markdownTable(rows: readonly Row[]): string {
  const cells = [["What", "mesh", "beside", "ratio", "aim"], ...rows.map(cellsOf)];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  const [head = [], ...body] = cells;
  return `${[line(head), line(rule), ...body.map(line)].join("\n")}\n`;
}

function cellsOf({ what, ours, unit, other, most }: Row): readonly string[] {
  return [
    what,
    `${amount(ours)} ${unit}`,
    other === null ? "–" : `${other.name}: ${amount(other.value)} ${unit}`,
    other === null ? "–" : (ours / other.value).toFixed(2),
    most === null ? "–" : `≤ ${most}`,
  ];
}

function amount(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
