const GAP = 3;
/** Columns that may be cut give so far first, then empty columns go, then all but the first give down to the second. */
const FAIR = 16;
const NARROWEST = 8;

export interface TableOptions {
  /** Columns of the terminal: the widest cells are cut until a row fits. Without it nothing is cut. */
  width?: number;
  /** Which columns are cut first. */
  flexible?: (column: number) => boolean;
}

/** Rows of cells as aligned text; the first row is the heading. Columns are three spaces apart, as Docker's. */
export function table(all: string[][], o: TableOptions = {}): string {
  let rows = all;
  let widths = widthsOf(rows);
  if (o.width !== undefined) {
    const flexible = o.flexible ?? (() => true);
    fit(widths, o.width, FAIR, flexible);
    if (total(widths) > o.width) {
      const kept = rows[0]!.map(
        (_, i) => i === 0 || rows.length === 1 || rows.slice(1).some((row) => row[i]),
      );
      rows = rows.map((row) => row.filter((_, i) => kept[i]));
      widths = widthsOf(rows);
      const before = kept.flatMap((keep, i) => (keep ? [i] : []));
      fit(widths, o.width, FAIR, (i) => flexible(before[i]!));
      fit(widths, o.width, NARROWEST, (i) => flexible(before[i]!));
      fit(widths, o.width, NARROWEST, (i) => i > 0);
    }
  }
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

function widthsOf(rows: string[][]): number[] {
  return rows[0]!.map((_, i) => Math.max(...rows.map((row) => visible(row[i] ?? ""))));
}

function total(widths: number[]): number {
  return widths.reduce((sum, each) => sum + each, GAP * (widths.length - 1));
}

/** Takes from the widest column that may be cut, until all fit or none can give more. */
function fit(widths: number[], width: number, least: number, flexible: (column: number) => boolean): void {
  for (let over = total(widths) - width; over > 0; over--) {
    let widest = -1;
    for (let i = 0; i < widths.length; i++) {
      if (flexible(i) && widths[i]! > least && (widest < 0 || widths[i]! > widths[widest]!)) widest = i;
    }
    if (widest < 0) return;
    widths[widest]!--;
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
