import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../root.ts";

/** A source file of the repository. */
export interface Source {
  /** Relative to the checkout. */
  path: string;
  text: string;
  lines: string[];
}

/** All TypeScript and Rust sources that are written by hand, tracked or about to be. */
export function sources(): Source[] {
  const listed = execFileSync(
    "git",
    ["ls-files", "-co", "--exclude-standard", "--", "*.ts", "*.rs", "*.mjs"],
    {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 16 << 20,
    },
  );
  return listed
    .split("\n")
    .filter((path) => path !== "" && !path.includes("/gen/") && existsSync(join(root, path)))
    .map((path) => {
      const text = readFileSync(join(root, path), "utf8");
      return { path, text, lines: text.split("\n") };
    });
}
