import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { invalid } from "../invalid.ts";

/** The folder that holds docker's own configuration, shared with it. */
export function configDir(env: NodeJS.ProcessEnv = process.env): string {
  return env.DOCKER_CONFIG || join(homedir(), ".docker");
}

/** Docker's config.json: what of it is not known here is kept as it is. */
export interface ConfigFile {
  currentContext?: string;
  [key: string]: unknown;
}

export function readConfig(dir = configDir()): ConfigFile {
  return readJson<ConfigFile>(join(dir, "config.json")) ?? {};
}

export function writeConfig(config: ConfigFile, dir = configDir()): void {
  writeWhole(join(dir, "config.json"), `${JSON.stringify(config, undefined, "\t")}\n`, 0o600);
}

/** The file's JSON; undefined when there is no such file. */
export function readJson<T>(path: string): T | undefined {
  if (!existsSync(path)) return undefined;
  const text = readFileSync(path, "utf8");
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw invalid(`${path} is not JSON: ${(error as Error).message}`);
  }
}

/** Writes a file so that nobody sees a part of it. */
export function writeWhole(path: string, data: string | Buffer, mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.${process.pid}`;
  writeFileSync(next, data, { mode });
  renameSync(next, path);
}
