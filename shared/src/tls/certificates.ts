import { X509Certificate } from "node:crypto";
import type { NodeTls } from "../gen/creel/cluster/v1/objects.ts";

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** What a node shows of its certificate's origin: whom it trusts, and who issued what it has. */
export function tlsOf({ certificate, root }: { certificate: string; root: string }): NodeTls {
  const own = new X509Certificate(certificate);
  const roots = (root.match(PEM) ?? []).map((pem) => new X509Certificate(pem));
  const issuer = roots.find((each) => own.checkIssued(each) && own.verify(each.publicKey));
  return {
    root: Buffer.from(root),
    issuerSubject: issuer ? subjectOf(issuer) : Buffer.alloc(0),
    issuerKey: issuer ? keyOf(issuer) : Buffer.alloc(0),
  };
}

/** A certificate's key: SubjectPublicKeyInfo, DER. */
export function keyOf(certificate: X509Certificate): Buffer {
  return certificate.publicKey.export({ type: "spki", format: "der" });
}

/** A certificate's subject, DER: the sixth part of its body, after version, serial, algorithm, issuer, dates. */
export function subjectOf({ raw }: X509Certificate): Buffer {
  const body = element(raw, element(raw, 0).start);
  let at = body.start;
  if (raw[at] === 0xa0) at = element(raw, at).end;
  for (let i = 0; i < 4; i++) at = element(raw, at).end;
  return raw.subarray(at, element(raw, at).end);
}

function element(der: Buffer, at: number): { start: number; end: number } {
  const first = der[at + 1]!;
  if (first < 0x80) return { start: at + 2, end: at + 2 + first };
  const size = first & 0x7f;
  const start = at + 2 + size;
  return { start, end: start + der.readUIntBE(at + 2, size) };
}
