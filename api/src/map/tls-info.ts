import { X509Certificate } from "node:crypto";
import { keyOf, subjectOf } from "@creel/shared/tls";
import type { Cluster, Node } from "../cluster.ts";

type TlsInfo = Record<"TrustRoot" | "CertIssuerSubject" | "CertIssuerPublicKey", string>;

/** Docker's `TLSInfo` of the cluster: the root that all nodes are to have. */
export function clusterTls({ rootCa }: Cluster): TlsInfo | undefined {
  const pem = Buffer.from((rootCa?.rotation ?? rootCa)?.certificate ?? "").toString();
  if (pem === "") return undefined;
  const root = new X509Certificate(pem);
  return {
    TrustRoot: pem,
    CertIssuerSubject: subjectOf(root).toString("base64"),
    CertIssuerPublicKey: keyOf(root).toString("base64"),
  };
}

/** Docker's `TLSInfo` of a node: the root it has, as it said itself. */
export function nodeTls({ description }: Node): TlsInfo | undefined {
  if (!description?.tls) return undefined;
  const { root, issuerSubject, issuerKey } = description.tls;
  return {
    TrustRoot: Buffer.from(root).toString(),
    CertIssuerSubject: Buffer.from(issuerSubject).toString("base64"),
    CertIssuerPublicKey: Buffer.from(issuerKey).toString("base64"),
  };
}
