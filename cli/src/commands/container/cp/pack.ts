import { createReadStream, lstatSync, readdirSync, readlinkSync, type Stats, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Header, type Pack, pack } from "tar-stream";
import { invalid } from "../../../invalid.ts";
import { nodeOf } from "./nodes.ts";

type Entry = Partial<Header> & { name: string };

/** The largest id of an archive's plain header. */
const MOST_ID = 0o777777;

interface PackOptions {
  /** Keep owners; else all is root's. */
  owners: boolean;
  /** A link that is the root is what it leads to. */
  followLink: boolean;
  warn(line: string): void;
}

/** A file or folder here, to be sent as a tar archive. */
export interface Packed {
  /** Its last name. */
  name: string;
  folder: boolean;
  /** The archive, in which it goes by `name`. */
  archive(name: string): AsyncIterable<unknown>;
  /** The bytes of files that were packed so far. */
  bytes(): number;
}

/** Looks at a path here; it is read when the archive is. */
export function packed(path: string, o: PackOptions): Packed {
  const stat = o.followLink || path.endsWith("/") || path.endsWith("/.") ? statSync : lstatSync;
  let root: Stats;
  try {
    root = stat(path);
  } catch (error) {
    throw invalid((error as Error).message);
  }
  if (path.endsWith("/") && !root.isDirectory()) throw invalid(`${path} is not a directory`);
  let bytes = 0;
  return {
    name: basename(resolve(path)),
    folder: root.isDirectory(),
    bytes: () => bytes,
    archive(name) {
      const archive = pack();
      const walk = new Walk(archive, o);
      walk.add(path, name, root).then(
        () => {
          bytes = walk.bytes;
          archive.finalize();
        },
        (error: Error) => archive.destroy(error),
      );
      return archive;
    },
  };
}

class Walk {
  readonly #archive: Pack;
  readonly #o: PackOptions;
  /** The first name of each file that has several, by device and inode. */
  readonly #links = new Map<string, string>();
  bytes = 0;

  constructor(archive: Pack, o: PackOptions) {
    this.#archive = archive;
    this.#o = o;
  }

  async add(path: string, name: string, stat: Stats): Promise<void> {
    const [uid, gid] = this.#o.owners ? [stat.uid, stat.gid] : [0, 0];
    const header: Entry = { name, mode: stat.mode & 0o7777, mtime: stat.mtime, uid, gid };
    // the plain header has no more digits
    if (Math.max(uid, gid) > MOST_ID) header.pax = { uid: String(uid), gid: String(gid) };
    if (stat.isDirectory()) {
      await this.#entry({ ...header, name: `${name}/`, type: "directory" });
      for (const child of readdirSync(path)) {
        const inside = join(path, child);
        await this.add(inside, `${name}/${child}`, lstatSync(inside));
      }
    } else if (stat.isSymbolicLink()) {
      await this.#entry({ ...header, type: "symlink", linkname: readlinkSync(path) });
    } else if (stat.isFile()) {
      await this.#file(path, header, stat);
    } else {
      // a socket means nothing without who listens on it
      const node = nodeOf(stat);
      if (node !== undefined) await this.#entry({ ...header, ...node });
    }
  }

  async #file(path: string, header: Entry, stat: Stats): Promise<void> {
    const key = `${stat.dev}:${stat.ino}`;
    const first = stat.nlink > 1 ? this.#links.get(key) : undefined;
    if (first !== undefined) return await this.#entry({ ...header, type: "link", linkname: first });
    if (stat.nlink > 1) this.#links.set(key, header.name);
    if (stat.size === 0) return await this.#entry({ ...header, type: "file" });
    // one that grows meanwhile is cut at the size it had
    const content = createReadStream(path, { end: stat.size - 1 });
    await pipeline(content, this.#archive.entry({ ...header, type: "file", size: stat.size }));
    this.bytes += stat.size;
  }

  #entry(header: Entry): Promise<void> {
    return new Promise((done, fail) =>
      this.#archive.entry(header, "", (error) => (error ? fail(error) : done())),
    );
  }
}
