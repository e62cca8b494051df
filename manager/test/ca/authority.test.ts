import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { isCreelError, seededRandom, systemRandom } from "@creel/shared";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { DEFAULT_CERT_LIFE_MS, issue, newRequest, newRoot } from "../../src/ca/authority.ts";
import { newToken, pinnedDigest, rootDigest, sameToken } from "../../src/ca/tokens.ts";

const NOW = Date.UTC(2026, 10, 24);

describe("ca/authority", () => {
  it("issues certificates that chain to the root and say who, what and where", async () => {
    const root = await newRoot("cluster1", NOW, systemRandom);
    const { key, csr } = await newRequest();
    const subject = { nodeId: "node1", role: NodeRole.NODE_ROLE_MANAGER, clusterId: "cluster1" };
    const pem = await issue(root, csr, subject, DEFAULT_CERT_LIFE_MS, NOW, systemRandom);
    const certificate = new X509Certificate(pem);
    const rootCertificate = new X509Certificate(root.certificate);
    assert.ok(certificate.verify(rootCertificate.publicKey));
    assert.ok(certificate.checkIssued(rootCertificate));
    assert.ok(rootCertificate.ca);
    assert.ok(!certificate.ca);
    assert.deepEqual(certificate.subject.split("\n").sort(), ["CN=node1", "O=cluster1", "OU=creel-manager"]);
    assert.match(certificate.subjectAltName ?? "", /DNS:node1/);
    assert.equal(Date.parse(certificate.validTo), NOW + DEFAULT_CERT_LIFE_MS);
    assert.match(key, /BEGIN PRIVATE KEY/);
  });

  it("refuses a request that is not one, or not signed by its key", async () => {
    const root = await newRoot("cluster1", NOW, systemRandom);
    const subject = { nodeId: "node1", role: NodeRole.NODE_ROLE_WORKER, clusterId: "cluster1" };
    const refuse = (csr: Uint8Array) =>
      assert.rejects(issue(root, csr, subject, 1, NOW, systemRandom), (error) =>
        isCreelError(error, "invalid_parameter"),
      );
    await refuse(new Uint8Array([1, 2, 3]));
    const { csr } = await newRequest();
    csr[csr.length - 1]! ^= 1;
    await refuse(csr);
  });
});

describe("ca/tokens", () => {
  it("have Docker's form and pin the root", () => {
    const root = Buffer.from("a root");
    const token = newToken(root, seededRandom(1));
    assert.match(token, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
    assert.equal(pinnedDigest(token), rootDigest(root));
    assert.notEqual(rootDigest(Buffer.from("another")), rootDigest(root));
  });

  it("are compared whole", () => {
    const token = newToken(Buffer.from("a root"), seededRandom(1));
    assert.ok(sameToken(token, token));
    assert.ok(!sameToken(token, `${token.slice(0, -1)}!`));
    assert.ok(!sameToken("", ""));
  });

  it("refuses what is no token", () => {
    for (const text of ["", "SWMTKN-1-abc-def", "SWMTKN-2-x"]) {
      assert.throws(
        () => pinnedDigest(text),
        (error) => isCreelError(error, "invalid_token"),
      );
    }
  });
});
