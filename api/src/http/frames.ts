/** Docker's frame around output without a terminal: stream (1 stdout, 2 stderr), three zeros, length, bytes. */
export function frame(stream: number, data: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(8 + data.length);
  out.writeUInt32BE(stream << 24, 0);
  out.writeUInt32BE(data.length, 4);
  out.set(data, 8);
  return out;
}

/** A longer line is cut there. */
const MAX_LINE = 1 << 20;

/** Puts lines together again from chunks of framed (or, with `raw`, plain) output. */
export class LineReader {
  #pending = Buffer.alloc(0);
  readonly #lines = new Map<number, Buffer>();
  readonly #raw: boolean;

  constructor(raw: boolean) {
    this.#raw = raw;
  }

  /** The lines, with their newlines, that `chunk` completes. */
  *push(chunk: Uint8Array): Generator<{ stream: number; line: Buffer }> {
    if (this.#raw) {
      yield* this.#split(1, chunk);
      return;
    }
    let buffer = this.#pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#pending, chunk]);
    while (buffer.length >= 8) {
      const length = buffer.readUInt32BE(4);
      if (buffer.length < 8 + length) break;
      yield* this.#split(buffer[0]!, buffer.subarray(8, 8 + length));
      buffer = buffer.subarray(8 + length);
    }
    this.#pending = Buffer.from(buffer);
  }

  /** What is left at the end, without a newline. */
  *rest(): Generator<{ stream: number; line: Buffer }> {
    for (const [stream, line] of this.#lines) if (line.length > 0) yield { stream, line };
    this.#lines.clear();
  }

  *#split(stream: number, data: Uint8Array): Generator<{ stream: number; line: Buffer }> {
    const before = this.#lines.get(stream);
    let buffer = before ? Buffer.concat([before, data]) : Buffer.from(data);
    for (;;) {
      let end = buffer.indexOf(10) + 1;
      if (end === 0 && buffer.length > MAX_LINE) end = MAX_LINE;
      if (end === 0) break;
      yield { stream, line: buffer.subarray(0, end) };
      buffer = buffer.subarray(end);
    }
    this.#lines.set(stream, buffer);
  }
}
