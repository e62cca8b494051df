/** Up to here (12 days) a span is held to the millisecond, beyond to the second: either way it is a small integer. */
const FINE = 2 ** 30;
const HEX_ID = /^[0-9a-f]{64}$/;

/** A span of milliseconds as an integer of 32 bits, which takes no memory of its own. */
export function packSpan(ms: number): number {
  const size = Math.abs(ms);
  if (size < FINE) return Math.trunc(ms);
  const packed = FINE + Math.min(Math.trunc((size - FINE) / 1000), FINE - 1);
  return ms < 0 ? -packed : packed;
}

export function unpackSpan(packed: number): number {
  const size = Math.abs(packed);
  if (size < FINE) return packed;
  const ms = FINE + (size - FINE) * 1000;
  return packed < 0 ? -ms : ms;
}

/** A container's id in half the memory. */
export function packId(id: string): string {
  if (id === "") return "";
  if (!HEX_ID.test(id)) return `=${id}`;
  // One string, not one that points to two.
  const packed = Buffer.allocUnsafe(33);
  packed.write("#", "latin1");
  packed.write(id, 1, "hex");
  return packed.toString("latin1");
}

export function unpackId(packed: string): string {
  const rest = packed.slice(1);
  return packed.startsWith("#") ? Buffer.from(rest, "latin1").toString("hex") : rest;
}
