import "reflect-metadata";
import { createPrivateKey, type KeyObject, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

// @peculiar/x509 needs a Reflect polyfill before it is loaded: the rest of the workspace imports it from here.
x509.cryptoProvider.set(webcrypto as Crypto);

export { x509 };

/** The one key algorithm of the cluster's certificates. */
const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
export const SIGNING_ALGORITHM = { name: "ECDSA", hash: "SHA-256" } as const;

/** A fresh P-256 key pair. */
export function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY_ALGORITHM, true, [
    "sign",
    "verify",
  ]) as Promise<webcrypto.CryptoKeyPair>;
}

/** The private key as PKCS#8 PEM. */
export async function exportKey(key: CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

type KeyKind = webcrypto.EcKeyImportParams | webcrypto.RsaHashedImportParams;

/** Of the kinds of keys that a root may have. */
const ALGORITHMS: Record<string, KeyKind> = {
  prime256v1: KEY_ALGORITHM,
  secp384r1: { name: "ECDSA", namedCurve: "P-384" },
  rsa: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
};

function algorithmOf(key: KeyObject): KeyKind | undefined {
  return ALGORITHMS[key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? ""];
}

/** Whether certificates can be signed with a key of this kind: P-256, P-384 or RSA. */
export function canSign(key: KeyObject): boolean {
  return algorithmOf(key) !== undefined;
}

/** A private key for signing out of PEM, and how it signs. */
export async function importKey(
  pem: string,
): Promise<{ key: CryptoKey; algorithm: { name: string; hash: string } }> {
  const parsed = createPrivateKey(pem);
  const algorithm = algorithmOf(parsed)!;
  const bytes = parsed.export({ type: "pkcs8", format: "der" });
  const key = await webcrypto.subtle.importKey("pkcs8", bytes, algorithm, false, ["sign"]);
  return { key: key as CryptoKey, algorithm: { name: algorithm.name, hash: "SHA-256" } };
}
