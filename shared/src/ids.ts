import type { Random } from "./random.ts";

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";

/** An id of a cluster object as Docker's: 25 base-36 digits, the first a letter or digit other than 0. */
export function newId(random: Random): string {
  const bytes = random.bytes(25);
  let id = DIGITS[1 + (bytes[0]! % 35)]!;
  for (let i = 1; i < 25; i++) id += DIGITS[bytes[i]! % 36]!;
  return id;
}
