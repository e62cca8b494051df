import { webcrypto } from "node:crypto";
import { CreelError, type Millis, messageOf, type Random } from "@creel/shared";
import type { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { roleUnit } from "@creel/shared/tls";
import { exportKey, importKey, newKeys, SIGNING_ALGORITHM, x509 } from "./x509.ts";

/** Clocks of machines differ: a certificate is good a little before it was made. */
const BACKDATE_MS = 60 * 60 * 1000;
const ROOT_LIFE_MS = 20 * 365 * 24 * 60 * 60 * 1000;

/** Life of a node's certificate where the cluster says nothing else. */
export const DEFAULT_CERT_LIFE_MS = 90 * 24 * 60 * 60 * 1000;
/** A shorter life than this leaves no room for a renewal. */
export const MIN_CERT_LIFE_MS = 60 * 60 * 1000;

/** A cluster's root, both parts PEM. */
export interface RootKeys {
  certificate: string;
  key: string;
}

function serialNumber(random: Random): string {
  const bytes = random.bytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

/** Makes a root. No two of a cluster have the same name, and each may sign the one that comes after it. */
export async function newRoot(clusterId: string, now: Millis, random: Random): Promise<RootKeys> {
  const keys = await newKeys();
  const serial = serialNumber(random);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial,
    name: `CN=creel-ca-${serial.slice(0, 12)}, O=${clusterId}`,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + ROOT_LIFE_MS),
    signingAlgorithm: SIGNING_ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString("pem")}\n`, key: await exportKey(keys.privateKey) };
}

/** The next root's key under a certificate by the present root: who trusts only that one trusts what the next one signs. */
export async function crossSign(
  present: RootKeys,
  next: string,
  now: Millis,
  random: Random,
): Promise<string> {
  const issuer = new x509.X509Certificate(present.certificate);
  const subject = new x509.X509Certificate(next);
  const { key, algorithm } = await importKey(present.key);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(random),
    subject: subject.subjectName.toJSON(),
    issuer: issuer.subjectName.toJSON(),
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: issuer.notAfter,
    publicKey: subject.publicKey,
    signingKey: key,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(subject.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return `${certificate.toString("pem")}\n`;
}

/** A key of a node's own, with the request for its certificate (DER). The key never leaves the node. */
export async function newRequest(): Promise<{ key: string; csr: Uint8Array }> {
  const keys = await newKeys();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=creel-node",
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
  });
  return { key: await exportKey(keys.privateKey), csr: new Uint8Array(request.rawData) };
}

/** What a certificate is to say. */
export interface Subject {
  nodeId: string;
  role: NodeRole;
  clusterId: string;
}

/** Signs a node's request (DER) with the root; of the request only the key is taken. Returns PEM. */
export async function issue(
  root: RootKeys,
  csr: Uint8Array,
  subject: Subject,
  lifeMs: number,
  now: Millis,
  random: Random,
): Promise<string> {
  const publicKey = await requestedKey(csr);
  const rootCertificate = new x509.X509Certificate(root.certificate);
  const { key: signingKey, algorithm: signingAlgorithm } = await importKey(root.key);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(random),
    subject: `CN=${subject.nodeId}, OU=${roleUnit(subject.role)}, O=${subject.clusterId}`,
    issuer: rootCertificate.subjectName.toJSON(),
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + lifeMs),
    publicKey,
    signingKey,
    signingAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension([
        { type: "dns", value: subject.nodeId },
        { type: "dns", value: roleUnit(subject.role) },
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(rootCertificate.publicKey),
    ],
  });
  return `${certificate.toString("pem")}\n`;
}

/** The key a request asks a certificate for, once its own signature proves that the asker holds it. */
async function requestedKey(csr: Uint8Array): Promise<CryptoKey> {
  let proven = false;
  try {
    const request = new x509.Pkcs10CertificateRequest(Uint8Array.from(csr));
    proven = await request.verify();
    if (proven) return await request.publicKey.export(webcrypto as Crypto);
  } catch (error) {
    throw new CreelError(
      "invalid_parameter",
      { message: `unreadable certificate request: ${messageOf(error)}` },
      { cause: error },
    );
  }
  throw new CreelError("invalid_parameter", {
    message: "the certificate request is not signed by the key it names",
  });
}
