// Text in columns of a terminal: width, cutting, aligned tables. Knows wide characters and colour codes.

/** Columns that a text takes. */
export function widthOf(text: string): number {
  return Bun.stringWidth(text);
}

/** The text, cut to a width with "…" at its end when it is longer. Colours that are open at the cut are closed. */
export function cut(text: string, width: number): string {
  // no UTF-16 unit takes more than two columns
  if (text.length * 2 <= width || Bun.stringWidth(text) <= width) return text;
  return width <= 0 ? "" : Bun.sliceAnsi(text, 0, width, "…");
}

/** The text with spaces behind (or before) it up to a width; a longer one stays as it is. */
export function pad(text: string, width: number, side: "left" | "right" = "left"): string {
  const missing = width - widthOf(text);
  if (missing <= 0) return text;
  return side === "left" ? text + " ".repeat(missing) : " ".repeat(missing) + text;
}

export interface Column {
  readonly title: string;
  /** Numbers stand right. */
  readonly align?: "left" | "right";
  /** Cut to this width. */
  readonly most?: number;
}

/** Lines of a table: titles, then rows, columns two spaces apart, no trailing blanks. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  titlePaint: (text: string) => string,
): string[] {
  const cells = rows.map((row) => columns.map((column, index) => cut(row[index] ?? "", column.most ?? Infinity)));
  const widths = columns.map((column, index) => {
    let widest = widthOf(column.title);
    for (const row of cells) widest = Math.max(widest, widthOf(row[index] ?? ""));
    return widest;
  });
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.align === "right" ? "right" : "left"))
      .join("  ")
      .trimEnd();
  const titles = line(columns.map((column) => column.title));
  return [titlePaint(titles), ...cells.map(line)];
}
