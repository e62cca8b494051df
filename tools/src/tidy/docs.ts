import { posix } from "node:path";
import type { Source } from "./files.ts";

const DEFINITION =
  /^export (?:default )?(?:abstract )?(?:async )?(?:function\*?|class|interface|type|const) (\w+)/;

/** Names that a workspace's door (src/mod.ts) gives out, with the files they come from. */
function doorExports(door: Source): { name: string; from: string }[] {
  const exports: { name: string; from: string }[] = [];
  for (const match of door.text.matchAll(/export\s+(?:type\s+)?(\{[^}]*\}|\*)\s+from\s+"(\.[^"]+)"/g)) {
    const from = posix.join(posix.dirname(door.path), match[2]!);
    const names = match[1] === "*" ? ["*"] : match[1]!.slice(1, -1).split(",");
    for (const each of names) {
      const name = each
        .trim()
        .replace(/^type\s+/, "")
        .split(/\s+as\s+/)[0]!;
      if (name !== "") exports.push({ name, from });
    }
  }
  return exports;
}

/** What another folder uses has a docstring. */
export function checkDocs(files: Source[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const complaints: string[] = [];
  for (const door of files.filter(({ path }) => /^[\w-]+\/src\/mod\.ts$/.test(path))) {
    for (const { name, from } of doorExports(door)) {
      const source = byPath.get(from);
      if (source === undefined) continue;
      for (const [i, line] of source.lines.entries()) {
        const defined = DEFINITION.exec(line)?.[1];
        if (defined === undefined || (name !== "*" && defined !== name)) continue;
        if (!source.lines[i - 1]?.trimEnd().endsWith("*/")) {
          complaints.push(
            `${source.path}:${i + 1}: ${defined} is used by other folders and has no docstring`,
          );
        }
      }
    }
  }
  return complaints;
}
