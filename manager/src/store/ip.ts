/** The IPv4 address as a signed 32-bit number; undefined if `text` is none. */
export function parseIp(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let n = 0;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    n = (n << 8) | Number(part);
  }
  return n;
}

/** The address of {@link parseIp} as text. */
export function formatIp(n: number): string {
  return `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;
}

/** A range of IPv4 addresses; `base` has no bits beyond `size`. */
export interface Cidr {
  base: number;
  size: number;
}

/** `10.0.0.0/8` as a range; undefined if `text` is none. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = "", bits = "", more] = text.split("/");
  const ip = parseIp(address);
  if (ip === undefined || more !== undefined || !/^\d{1,2}$/.test(bits) || Number(bits) > 32)
    return undefined;
  const size = Number(bits);
  return { base: ip & maskOf(size), size };
}

/** The range as text. */
export function formatCidr({ base, size }: Cidr): string {
  return `${formatIp(base)}/${size}`;
}

/** Whether two ranges have an address in common. */
export function overlaps(a: Cidr, b: Cidr): boolean {
  const mask = maskOf(Math.min(a.size, b.size));
  return (a.base & mask) === (b.base & mask);
}

/** Whether the address lies in the range. */
export function contains(range: Cidr, ip: number): boolean {
  return (ip & maskOf(range.size)) === range.base;
}

function maskOf(size: number): number {
  return size === 0 ? 0 : -1 << (32 - size);
}
