import { X509Certificate } from "node:crypto";

/** Docker's `TLSInfo` of the cluster's root certificate. */
export function toTlsInfo(rootPem: Uint8Array): Record<string, string> | undefined {
  if (rootPem.length === 0) return undefined;
  const pem = Buffer.from(rootPem).toString();
  const root = new X509Certificate(pem);
  return {
    TrustRoot: pem,
    CertIssuerSubject: subjectOf(root.raw).toString("base64"),
    CertIssuerPublicKey: root.publicKey.export({ type: "spki", format: "der" }).toString("base64"),
  };
}

/** The subject's DER within a certificate's: the sixth part of its body, after version, serial, algorithm, issuer, dates. */
function subjectOf(der: Buffer): Buffer {
  const body = element(der, element(der, 0).start);
  let at = body.start;
  if (der[at] === 0xa0) at = element(der, at).end;
  for (let i = 0; i < 4; i++) at = element(der, at).end;
  return der.subarray(at, element(der, at).end);
}

function element(der: Buffer, at: number): { start: number; end: number } {
  const first = der[at + 1]!;
  if (first < 0x80) return { start: at + 2, end: at + 2 + first };
  const size = first & 0x7f;
  const start = at + 2 + size;
  return { start, end: start + der.readUIntBE(at + 2, size) };
}
