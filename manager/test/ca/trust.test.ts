import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { seededRandom, systemRandom } from "@creel/shared";
import { NodeRole, RootCa } from "@creel/shared/gen/cluster/v1/objects.ts";
import { keyOf, tlsOf } from "@creel/shared/tls";
import { issue, newRequest, newRoot, type RootKeys } from "../../src/ca/authority.ts";
import { pinnedDigest, rootDigest } from "../../src/ca/tokens.ts";
import { newRotation, signerOf, trustedRoots } from "../../src/ca/trust.ts";
import { newUnlockKey, parseUnlockKey } from "../../src/ca/unlock-key.ts";

const NOW = Date.UTC(2026, 10, 24);
const LIFE = 3_600_000;

async function rootCa(): Promise<RootCa> {
  const root = await newRoot("cluster1", NOW, systemRandom);
  const certificate = Buffer.from(root.certificate);
  return RootCa.fromPartial({ certificate, key: Buffer.from(root.key) });
}

const rotate = (present: RootCa, given?: RootKeys) =>
  newRotation(present, given, "cluster1", NOW, systemRandom);

async function leafOf(present: RootCa): Promise<X509Certificate[]> {
  const { csr } = await newRequest();
  const { root, along } = signerOf(present);
  const subject = { nodeId: "node1", role: NodeRole.NODE_ROLE_WORKER, clusterId: "cluster1" };
  const chain = (await issue(root, csr, subject, LIFE, NOW, systemRandom)) + along;
  return chain.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g)!.map((pem) => new X509Certificate(pem));
}

describe("ca/trust", () => {
  it("while the root changes, a certificate is good for who trusts the old one, the new one, or both", async () => {
    const present = await rootCa();
    const [alone, ...none] = await leafOf(present);
    assert.deepEqual(none, []);
    assert.equal(trustedRoots(present).toString(), present.certificate.toString());

    const rotation = await rotate(present);
    const changing = { ...present, rotation };
    const [leaf, cross] = await leafOf(changing);
    const [old, next] = [present, rotation].map(
      ({ certificate }) => new X509Certificate(Buffer.from(certificate)),
    );
    assert.ok(leaf!.checkIssued(next!) && leaf!.verify(next!.publicKey));
    assert.ok(leaf!.checkIssued(cross!) && cross!.checkIssued(old!) && cross!.verify(old!.publicKey));
    assert.ok(!alone!.verify(next!.publicKey));
    assert.deepEqual(rotation.issuerKey, keyOf(next!));
    assert.equal(pinnedDigest(rotation.workerToken), rootDigest(rotation.certificate));

    const both = trustedRoots(changing).toString();
    assert.deepEqual(tlsOf({ certificate: leaf!.toString(), root: both }).issuerKey, keyOf(next!));
    assert.deepEqual(tlsOf({ certificate: alone!.toString(), root: both }).issuerKey, keyOf(old!));
    assert.equal(tlsOf({ certificate: alone!.toString(), root: next!.toString() }).issuerKey.length, 0);
  });

  it("takes a root of the user's that is one, and refuses others", async () => {
    const present = await rootCa();
    const mine = await newRoot("mine", NOW, systemRandom);
    const rotation = await rotate(present, mine);
    assert.equal(rotation.certificate.toString(), mine.certificate);
    const refused = (given: RootKeys, message: RegExp) =>
      assert.rejects(rotate(present, given), { code: "invalid_parameter", message });
    const other = await newRoot("other", NOW, systemRandom);
    await refused({ ...mine, key: other.key }, /not that of the CA certificate/);
    await refused({ ...mine, certificate: mine.certificate + other.certificate }, /exactly one/);
    await refused({ ...mine, key: "nonsense" }, /unreadable/);
    await refused(await newRoot("late", NOW + 48 * LIFE, systemRandom), /not now/);
    const [leaf] = await leafOf(present);
    await refused({ ...mine, certificate: leaf!.toString() }, /not one of a CA/);
    const { privateKey } = generateKeyPairSync("ed25519");
    await refused(
      { ...mine, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() },
      /not that of/,
    );
  });
});

describe("ca/unlock-key", () => {
  it("has Docker's form, and nothing else is one", () => {
    const key = newUnlockKey(seededRandom(1));
    assert.match(key, /^SWMKEY-1-[A-Za-z0-9+/]{43}$/);
    assert.equal(parseUnlockKey(` ${key}\n`).length, 32);
    for (const text of ["", "SWMKEY-1-", key.slice(0, -1), key.replace("-1-", "-2-"), `${key}=`])
      assert.throws(() => parseUnlockKey(text), { code: "invalid_parameter" });
  });
});
