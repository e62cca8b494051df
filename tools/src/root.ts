import { existsSync } from "node:fs";
import { join } from "node:path";

/** The checkout this file is in. */
export const root: string = join(import.meta.dirname, "../..");

/** The path of a native program of this checkout; a sentence that says what to run when it is not built. */
export function native(name: string): string {
  const path = join(root, "runtime-native/target/release", name);
  if (!existsSync(path)) throw new Error(`${name} is not built: run \`npm run build\` first`);
  return path;
}
