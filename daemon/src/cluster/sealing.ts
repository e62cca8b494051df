import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { CreelError } from "@creel/shared";

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** `plain` under a key of 32 bytes, as base64; `place` binds it to where it belongs. */
export function seal(plain: string, key: Uint8Array, place: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(place));
  const body = Buffer.concat([cipher.update(plain, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString("base64");
}

/** What {@link seal} was given; throws `wrong_unlock_key` where the key is another, or the text was changed. */
export function unseal(sealed: string, key: Uint8Array, place: string): string {
  const bytes = Buffer.from(sealed, "base64");
  const body = NONCE_BYTES + TAG_BYTES;
  try {
    const cipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(place))
      .setAuthTag(bytes.subarray(NONCE_BYTES, body));
    return cipher.update(bytes.subarray(body), undefined, "utf8") + cipher.final("utf8");
  } catch (error) {
    throw new CreelError("wrong_unlock_key", {}, { cause: error });
  }
}
