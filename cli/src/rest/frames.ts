import type { Readable, Writable } from "node:stream";

const HEADER = 8;

/**
 * Takes Docker's 8-byte frames apart (byte 0: 1 stdout, 2 stderr; bytes 4-7: length) and writes each payload to its
 * stream; resolves at the end.
 */
export async function demultiplex(
  source: Readable,
  stdout: Writable,
  stderr: Writable,
  head?: Buffer,
): Promise<void> {
  let rest: Buffer = head ?? Buffer.alloc(0);
  const drain = async (): Promise<void> => {
    while (rest.length >= HEADER) {
      const length = rest.readUInt32BE(4);
      if (rest.length < HEADER + length) return;
      const target = rest[0] === 2 ? stderr : stdout;
      await write(target, rest.subarray(HEADER, HEADER + length));
      rest = rest.subarray(HEADER + length);
    }
  };
  await drain();
  for await (const chunk of source) {
    rest = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
    await drain();
  }
}

/** Writes, and waits where the other side is slower. */
export function write(target: Writable, data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => target.write(data, (error) => (error ? reject(error) : resolve())));
}
