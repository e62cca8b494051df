import { CreelError, type Random } from "@creel/shared";

const PREFIX = "SWMKEY-1-";
const BYTES = 32;

/** A new key, in Docker's form, under which managers seal the keys on their disks. */
export function newUnlockKey(random: Random): string {
  return PREFIX + Buffer.from(random.bytes(BYTES)).toString("base64").replace(/=+$/, "");
}

/** The 32 bytes of an unlock key; throws `invalid_parameter` when it is none. */
export function parseUnlockKey(text: string): Uint8Array {
  const [, digits] = /^SWMKEY-1-([A-Za-z0-9+/]{43})$/.exec(text.trim()) ?? [];
  if (digits === undefined)
    throw new CreelError("invalid_parameter", {
      message: "invalid unlock key: it begins with SWMKEY-1-, and 43 letters and digits follow",
    });
  return Buffer.from(digits, "base64");
}
