import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildImage } from "../../tools/src/image.ts";

const crate = join(import.meta.dirname, "../load");
const TAG = "creel-bench-load:latest";

/** Builds the load program, static; its path. */
export function buildLoad(): string {
  const env: NodeJS.ProcessEnv = { ...process.env, RUSTFLAGS: "-C target-feature=+crt-static" };
  delete env.CARGO_TARGET_DIR;
  execFileSync("cargo", ["build", "--release", "--locked", "--quiet"], { cwd: crate, env, stdio: "inherit" });
  return join(crate, "target/release/load");
}

/** An image of nothing but the load program; its name, and the archive to load. */
export async function loadImage(program: string): Promise<{ tag: string; archive: Buffer }> {
  const files = [{ path: "load", content: readFileSync(program), mode: 0o755 }];
  return { tag: TAG, archive: await buildImage({ tag: TAG, files, entrypoint: ["/load"] }) };
}
