import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ImageFile } from "../../tools/src/image.ts";
import { root } from "../../tools/src/root.ts";
import { program } from "./cli.ts";
import { busyboxImage } from "./images.ts";

const SOURCES = join(root, "e2e/attacks");

/** A static program of the C files in a folder, compiled with these flags more. */
function compiled(folder: string, ...flags: string[]): Buffer {
  const dir = mkdtempSync(join(tmpdir(), "ce-attack-"));
  try {
    const sources = readdirSync(folder).filter((name) => name.endsWith(".c"));
    const out = join(dir, "program");
    const paths = sources.map((name) => join(folder, name));
    const built = program("cc", ["-static", "-O1", "-Wall", "-Werror", ...flags, "-o", out, ...paths]);
    if (built.code !== 0) throw new Error(`cc: ${built.stderr}`);
    return readFileSync(out);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What an attacker has in an image besides busybox: its program, and a loader of its own for whatever is executed. */
export function attackFiles(): ImageFile[] {
  const content = compiled(join(SOURCES, "loader"), "-nostdlib", "-no-pie", "-fno-stack-protector");
  return [
    { path: "attack", content: compiled(SOURCES), mode: 0o755 },
    { path: "lib64/" },
    { path: "lib64/ld-linux-x86-64.so.2", content, mode: 0o755 },
    { path: "lib/" },
    { path: "lib/ld-linux-aarch64.so.1", content, mode: 0o755 },
    { path: "self", link: "/proc/self/exe" },
  ];
}

/** The image `attack`. */
export function attackImage(): Promise<Buffer> {
  return busyboxImage("attack:latest", attackFiles());
}

/** `name=value` lines, by name. */
export function answers(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => line.includes("="));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf("=")), line.slice(line.lastIndexOf("=") + 1)]),
  );
}
