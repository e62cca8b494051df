const GAP = 3;
/** No column is cut shorter than this. */
const NARROWEST = 8;

export interface TableOptions {
  /** Columns of the terminal; the widest cells are cut until a row fits. Without it nothing is cut. */
  width?: number;
  /** Which columns may be cut. */
  flexible?: (column: number) => boolean;
}

/** Rows of cells as aligned text; the first row is the heading. Columns are three spaces apart, as Docker's. */
export function table(rows: string[][], o: TableOptions = {}): string {
  const columns = rows[0]!.length;
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => visible(row[i] ?? ""))),
  );
  if (o.width !== undefined) fit(widths, rows[0]!, o.width, o.flexible ?? (() => true));
  return rows
    .map((row) =>
      row
        .map((cell, i) => {
          const shown = cut(cell, widths[i]!);
          return shown + " ".repeat(Math.max(0, widths[i]! - visible(shown)));
        })
        .join(" ".repeat(GAP))
        .trimEnd(),
    )
    .join("\n");
}

/** Takes from the widest column that may be cut, until all fit or none can give more. */
function fit(
  widths: number[],
  heading: string[],
  width: number,
  flexible: (column: number) => boolean,
): void {
  let over = widths.reduce((sum, each) => sum + each, GAP * (widths.length - 1)) - width;
  while (over > 0) {
    let widest = -1;
    for (let i = 0; i < widths.length; i++) {
      const least = Math.max(NARROWEST, heading[i]!.length);
      if (flexible(i) && widths[i]! > least && (widest < 0 || widths[i]! > widths[widest]!)) widest = i;
    }
    if (widest < 0) return;
    widths[widest]!--;
    over--;
  }
}

/** At most `width` characters, the last one `…` where something is missing. */
export function cut(text: string, width: number): string {
  if (visible(text) <= width) return text;
  return `${[...text].slice(0, Math.max(0, width - 1)).join("")}…`;
}

function visible(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours take no room
  return [...text.replace(/\x1b\[[0-9;]*m/g, "")].length;
}
