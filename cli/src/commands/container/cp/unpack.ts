import {
  chmodSync,
  chownSync,
  createWriteStream,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Header } from "tar-stream";
import { invalid } from "../../../invalid.ts";
import { makeNode } from "./nodes.ts";
import { type Sparse, sparseOf, writeSparse } from "./sparse.ts";

interface UnpackOptions {
  /** Keep owners; else all is the caller's. */
  owners: boolean;
  warn(line: string): void;
}

/**
 * Unpacks an archive of one thing as `root`, whatever it is called in the archive. Gives the bytes of files.
 *
 * The archive comes from a container, which is not trusted: an entry is only made in a folder that came before it in the
 * archive, so no link on its way leads out of `root`.
 */
export async function unpack(archive: Readable, root: string, o: UnpackOptions): Promise<number> {
  const target = new Target(root, o);
  const entries = extract();
  const ended = pipeline(archive, entries);
  ended.catch(() => {});
  for await (const entry of entries) await target.take(entry.header, entry as unknown as Readable);
  await ended;
  return target.finish();
}

class Target {
  readonly #root: string;
  readonly #o: UnpackOptions;
  /** Folders of the archive, which are filled before their times are set. */
  readonly #folders = new Map<string, Header>();
  readonly #files = new Set<string>();
  #bytes = 0;

  constructor(root: string, o: UnpackOptions) {
    this.#root = root;
    this.#o = o;
  }

  async take(header: Header, content: Readable): Promise<void> {
    const sparse = sparseOf(header);
    const inside = this.#inside(sparse?.name ?? header.name);
    const path = join(this.#root, inside);
    if (inside !== "" && !this.#folders.has(dirname(path)))
      throw invalid(`the archive is damaged: ${header.name} comes before its folder`);
    const type = header.type ?? "file";
    if (type === "directory") {
      this.#folder(path, inside === "");
      this.#folders.set(path, header);
    } else {
      rmSync(path, { force: true, recursive: inside !== "" });
      if (["symlink", "link"].includes(type)) this.#link(path, header);
      else if (["file", "contiguous-file"].includes(type)) await this.#file(path, header, content, sparse);
      else if (makeNode(path, header)) this.#made(path, header);
      else this.#o.warn(`${header.name} (${type}) cannot be made here: it is left out`);
    }
    content.resume();
  }

  /** Sets what filling them has changed: the deepest first. */
  finish(): number {
    for (const [path, header] of [...this.#folders].reverse()) this.#attributes(path, header);
    return this.#bytes;
  }

  #link(path: string, header: Header): void {
    if (header.type === "symlink") {
      symlinkSync(header.linkname!, path);
      if (this.#o.owners) lchownSync(path, header.uid!, header.gid!);
      if (header.mtime) lutimesSync(path, header.mtime, header.mtime);
      return;
    }
    const first = join(this.#root, this.#inside(header.linkname!));
    if (!this.#files.has(first))
      throw invalid(`the archive is damaged: ${header.name} links to what is not in it`);
    linkSync(first, path);
  }

  async #file(path: string, header: Header, content: Readable, sparse: Sparse | undefined): Promise<void> {
    if (sparse !== undefined) await writeSparse(content, path, sparse.size);
    else await pipeline(content, createWriteStream(path, { flags: "wx", mode: 0o600 }));
    this.#bytes += sparse?.size ?? header.size ?? 0;
    this.#made(path, header);
  }

  #made(path: string, header: Header): void {
    this.#files.add(path);
    this.#attributes(path, header);
  }

  #folder(path: string, isRoot: boolean): void {
    const there = lstatSync(path, { throwIfNoEntry: false });
    // the root may be a link that the caller named
    if (there?.isDirectory() || (isRoot && there?.isSymbolicLink())) return;
    if (there !== undefined) rmSync(path, { force: true });
    mkdirSync(path, { mode: 0o700 });
  }

  #attributes(path: string, header: Header): void {
    if (this.#o.owners) chownSync(path, header.uid!, header.gid!);
    chmodSync(path, header.mode ?? 0o644);
    if (header.mtime) utimesSync(path, header.mtime, header.mtime);
  }

  /** An entry's name without its first part, which is the name of the whole. */
  #inside(name: string): string {
    const parts = name.split("/").filter((part) => part !== "");
    if (parts.includes("..")) throw invalid(`the archive is damaged: ${name} leads out of it`);
    return parts
      .slice(1)
      .filter((part) => part !== ".")
      .join("/");
  }
}
