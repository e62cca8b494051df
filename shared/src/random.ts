import { randomFillSync } from "node:crypto";

/** Randomness as a port: production hands in {@link systemRandom}, a simulation {@link seededRandom}. */
export interface Random {
  /** Evenly in [0, 1). */
  next(): number;
  /** `n` bytes. */
  bytes(n: number): Uint8Array;
}

/** Few bytes are taken from what was fetched for many: asking the kernel costs more than they do. */
const POOL_BYTES = 4096;
const SMALL = 64;
const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

/** The kernel's randomness. */
export const systemRandom: Random = {
  next() {
    const buffer = randomFillSync(new Uint32Array(2));
    return (buffer[0]! * 2 ** 21 + (buffer[1]! >>> 11)) / 2 ** 53;
  },
  bytes(n) {
    if (n > SMALL) return randomFillSync(new Uint8Array(n));
    if (used + n > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const bytes = pool.slice(used, used + n);
    // What was given to one is nobody else's to find.
    pool.fill(0, used, used + n);
    used += n;
    return bytes;
  },
};

/** The same numbers for the same seed (SplitMix32); not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  const word = () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  return {
    next: () => word() / 2 ** 32,
    bytes: (n) => Uint8Array.from({ length: n }, () => word() & 0xff),
  };
}
