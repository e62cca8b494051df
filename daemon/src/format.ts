import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CreelError } from "@creel/shared";

/** The layout of the data root that this version writes. creel-engine writes the file and checks it too. */
const FORMAT = 1;

/** Refuses a data root that a newer Creel has written; one without a format is new. */
export function checkFormat(dataRoot: string): void {
  const path = join(dataRoot, "format");
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  const found = Number(text);
  if (!/^\d+$/.test(text) || found < 1) {
    throw new CreelError("storage_damaged", {
      path,
      message: `it holds ${JSON.stringify(text.slice(0, 40))}, not a format`,
    });
  }
  if (found > FORMAT) throw new CreelError("data_format_newer", { path, found, known: FORMAT });
}
