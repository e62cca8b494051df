import { createHash, timingSafeEqual } from "node:crypto";
import { CreelError, type Random } from "@creel/shared";

const PREFIX = "SWMTKN-1";
const DIGEST_LENGTH = 50;
const SECRET_LENGTH = 25;
const SECRET_BYTES = 16;
const FORM = new RegExp(`^${PREFIX}-([0-9a-z]{${DIGEST_LENGTH}})-([0-9a-z]{${SECRET_LENGTH}})$`);

function base36(bytes: Uint8Array, length: number): string {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`)
    .toString(36)
    .padStart(length, "0");
}

/** SHA-256 of the root certificate (PEM, as it is handed out) in the base-36 form tokens hold. */
export function rootDigest(root: Uint8Array): string {
  return base36(createHash("sha256").update(root).digest(), DIGEST_LENGTH);
}

/** A new join token of Docker's form: it pins the root and holds a secret of 128 bits. */
export function newToken(root: Uint8Array, random: Random): string {
  return `${PREFIX}-${rootDigest(root)}-${base36(random.bytes(SECRET_BYTES), SECRET_LENGTH)}`;
}

/** The digest of the root that a token pins; throws `invalid_token` when it is no token. */
export function pinnedDigest(token: string): string {
  const digest = FORM.exec(token.trim())?.[1];
  if (digest === undefined) throw new CreelError("invalid_token");
  return digest;
}

/** Whether both are the same token, in a time that says nothing of where they differ. */
export function sameToken(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return a !== "" && timingSafeEqual(digest(a), digest(b));
}
