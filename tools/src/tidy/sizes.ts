import type { Source } from "./files.ts";

const MOST = 800;
const LONG = 450;
/** Of all files, at most this part may be long. */
const LONG_SHARE = 0.04;

/** A file is one concept: none over 800 lines, hardly any over 450. */
export function checkSizes(files: Source[]): string[] {
  const tooLong = files.filter(({ lines }) => lines.length > MOST);
  const long = files.filter(({ lines }) => lines.length > LONG);
  const complaints = tooLong.map(
    ({ path, lines }) => `${path}: ${lines.length} lines; at most ${MOST}: split it`,
  );
  if (long.length > files.length * LONG_SHARE) {
    complaints.push(
      `${long.length} files have over ${LONG} lines: ${long.map(({ path }) => path).join(", ")}`,
    );
  }
  return complaints;
}
