import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Random } from "@creel/shared";

/** The checkout or package that this daemon runs from. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Creel's version, as its package says. */
export function creelVersion(): string {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
}

/** The commit of a checkout; empty elsewhere. */
export function creelCommit(): string {
  try {
    const git = join(root, ".git");
    const head = readFileSync(join(git, "HEAD"), "utf8").trim();
    const ref = /^ref: (.*)$/.exec(head)?.[1];
    return (ref === undefined ? head : readFileSync(join(git, ref), "utf8").trim()).slice(0, 12);
  } catch {
    return "";
  }
}

/** The id of this node's engine, made once. */
export function engineId(dataRoot: string, random: Random): string {
  const path = join(dataRoot, "engine-id");
  if (existsSync(path)) return readFileSync(path, "utf8").trim();
  const hex = Buffer.from(random.bytes(16)).toString("hex");
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  mkdirSync(dataRoot, { recursive: true, mode: 0o711 });
  writeFileSync(`${path}.tmp`, `${id}\n`);
  renameSync(`${path}.tmp`, path);
  return id;
}
