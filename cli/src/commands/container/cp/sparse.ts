import { type FileHandle, open } from "node:fs/promises";
import type { Readable } from "node:stream";
import type { Header } from "tar-stream";
import { invalid } from "../../../invalid.ts";

const BLOCK = 512;
const MOST_PIECES = 1 << 20;

/** What a file with holes is called, and its size; its entry in an archive has another name and its data alone. */
export interface Sparse {
  name: string;
  size: number;
}

/** Whether an entry is a file with holes, in the form that GNU tar calls 1.0. */
export function sparseOf(header: Header): Sparse | undefined {
  const pax = header.pax as Record<string, string> | null;
  if (pax?.["GNU.sparse.major"] !== "1" || pax["GNU.sparse.minor"] !== "0") return undefined;
  return { name: pax["GNU.sparse.name"] ?? header.name, size: Number(pax["GNU.sparse.realsize"]) };
}

/** Writes such a file: its content is a map of its pieces, and the pieces. */
export async function writeSparse(content: Readable, path: string, size: number): Promise<void> {
  const source = new Source(content);
  const file = await open(path, "wx", 0o600);
  try {
    const count = await source.number();
    if (count > MOST_PIECES) throw damaged();
    const pieces: [offset: number, length: number][] = [];
    for (let n = 0; n < count; n++) pieces.push([await source.number(), await source.number()]);
    await source.align();
    for (const [offset, length] of pieces) {
      if (offset + length > size) throw damaged();
      await source.copy(length, file, offset);
    }
    await file.truncate(size);
  } finally {
    await file.close();
  }
}

function damaged(): Error {
  return invalid("the archive is damaged: the holes of a file cannot be read");
}

/** The content of an entry, read in parts. */
class Source {
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);
  #read = 0;

  constructor(content: Readable) {
    this.#chunks = content[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** A line with a number. */
  async number(): Promise<number> {
    let digits = "";
    for (;;) {
      const letter = String.fromCharCode((await this.#take(1))[0]!);
      if (letter === "\n") break;
      digits += letter;
      if (!/^\d{1,16}$/.test(digits)) throw damaged();
    }
    return Number(digits);
  }

  /** Goes on to the next block. */
  async align(): Promise<void> {
    for (let left = (BLOCK - (this.#read % BLOCK)) % BLOCK; left > 0; )
      left -= (await this.#take(left)).length;
  }

  async copy(length: number, file: FileHandle, offset: number): Promise<void> {
    for (let done = 0; done < length; ) {
      const part = await this.#take(length - done);
      await file.write(part, 0, part.length, offset + done);
      done += part.length;
    }
  }

  /** At least one byte, at most so many. */
  async #take(most: number): Promise<Buffer> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) throw damaged();
      this.#chunk = value;
    }
    const part = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(part.length);
    this.#read += part.length;
    return part;
  }
}
