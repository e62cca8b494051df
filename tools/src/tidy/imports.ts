import { posix } from "node:path";
import type { Source } from "./files.ts";

/** Which folders a folder may import, beside itself and installed packages. */
const TABLE: Record<string, string[]> = {
  shared: [],
  "node-raft-server": ["shared"],
  manager: ["shared", "node-raft-server"],
  worker: ["shared"],
  api: ["shared"],
  daemon: ["shared", "node-raft-server", "manager", "worker", "api"],
  cli: ["shared"],
  sim: ["shared", "manager", "worker", "node-raft-server"],
  tools: ["shared"],
  e2e: ["tools"],
  bench: ["tools", "node-raft-server", "shared", "manager", "worker"],
};

function folderOf(specifier: string, from: string): string | undefined {
  if (specifier.startsWith("@creel/")) return specifier.split("/")[1];
  if (specifier === "node-raft-server" || specifier.startsWith("node-raft-server/"))
    return "node-raft-server";
  if (specifier.startsWith("."))
    return posix.normalize(posix.join(posix.dirname(from), specifier)).split("/")[0];
  return undefined;
}

/** The import table of the architecture. */
export function checkImports(files: Source[]): string[] {
  const complaints: string[] = [];
  for (const { path, text } of files) {
    const folder = path.split("/")[0]!;
    const allowed = TABLE[folder];
    if (!path.endsWith(".ts") || allowed === undefined) continue;
    for (const match of text.matchAll(
      /^\s*(?:import|export)\b[^;]*?from\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm,
    )) {
      const specifier = (match[1] ?? match[2])!;
      const target = folderOf(specifier, path);
      if (target === undefined || target === folder || allowed.includes(target)) continue;
      complaints.push(
        `${path}: imports ${specifier}, but ${folder}/ may import only ${allowed.join(", ") || "nothing"}`,
      );
    }
  }
  return complaints;
}
