import { createPrivateKey, X509Certificate } from "node:crypto";
import { CreelError, type Millis, messageOf, type Random } from "@creel/shared";
import type { RootCa, RootRotation } from "@creel/shared/gen/cluster/v1/objects.ts";
import { keyOf } from "@creel/shared/tls";
import { crossSign, newRoot, type RootKeys } from "./authority.ts";
import { newToken } from "./tokens.ts";
import { canSign } from "./x509.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

/** The root that certificates are issued by at this moment, and what goes along with each of them (PEM, maybe empty). */
export function signerOf({ certificate, key, rotation }: RootCa): { root: RootKeys; along: string } {
  const { certificate: pem, key: secret } = rotation ?? { certificate, key };
  return {
    root: { certificate: text(pem), key: text(secret) },
    along: rotation ? text(rotation.crossSigned) : "",
  };
}

/** Whom nodes are to trust at this moment (PEM): the root, and the one that is to follow it. */
export function trustedRoots({ certificate, rotation }: RootCa): Buffer {
  return Buffer.concat([certificate, rotation?.certificate ?? new Uint8Array()]);
}

/** Begins a rotation to `given`, or to a root made here; one that is under way is given up for it. */
export async function newRotation(
  present: RootCa,
  given: RootKeys | undefined,
  clusterId: string,
  now: Millis,
  random: Random,
): Promise<RootRotation> {
  if (given) checkRoot(given, now);
  const next = given ?? (await newRoot(clusterId, now, random));
  const keys = { certificate: text(present.certificate), key: text(present.key) };
  const certificate = Buffer.from(next.certificate);
  return {
    certificate,
    key: Buffer.from(next.key),
    crossSigned: Buffer.from(await crossSign(keys, next.certificate, now, random)),
    workerToken: newToken(certificate, random),
    managerToken: newToken(certificate, random),
    issuerKey: keyOf(new X509Certificate(certificate)),
  };
}

/** Refuses a root of the user's that could not be one. */
function checkRoot({ certificate, key }: RootKeys, now: Millis): void {
  const bad = (message: string, cause?: unknown) =>
    new CreelError("invalid_parameter", { message }, cause === undefined ? {} : { cause });
  if (certificate.split("-----BEGIN CERTIFICATE-----").length !== 2)
    throw bad("the CA certificate must be exactly one, in PEM");
  let root: X509Certificate;
  let secret: ReturnType<typeof createPrivateKey>;
  try {
    root = new X509Certificate(certificate);
    secret = createPrivateKey(key);
  } catch (error) {
    throw bad(`unreadable CA certificate or key: ${messageOf(error)}`, error);
  }
  if (!root.ca) throw bad("the certificate is not one of a CA: its basic constraints do not say so");
  if (!root.checkIssued(root) || !root.verify(root.publicKey))
    throw bad("the CA certificate must be a root: signed by its own key");
  if (!root.checkPrivateKey(secret)) throw bad("the CA key is not that of the CA certificate");
  if (!canSign(secret)) throw bad("the CA key must be ECDSA (P-256 or P-384) or RSA");
  if (Date.parse(root.validTo) <= now || Date.parse(root.validFrom) > now)
    throw bad(`the CA certificate is valid from ${root.validFrom} to ${root.validTo}, not now`);
}
