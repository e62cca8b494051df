import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestAuthority } from "../../src/certificates.ts";
import { creel, docker } from "../../src/cli.ts";
import { nodeState, processIds, removeLeft, Traffic } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const ALL = ["node1", "node2", "node3", "node4"];
const PORT = 8080;
const HOUR = 3_600_000;

interface TlsInfo {
  CertIssuerPublicKey: string;
}
interface Swarm {
  RootRotationInProgress: boolean;
  TLSInfo: TlsInfo;
}
interface NodeTls {
  Description: { TLSInfo: TlsInfo };
}

describe("the root of a cluster is changed", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 4, managers: 2 });
  const cli = () => docker(fixture.lab, "node2");
  const swarm = () => fixture.lab.rest("node1").get<Swarm>("/swarm");
  const token = () => cli().ok("swarm", "join-token", "-q", "worker");
  let dir = "";

  /** What a node has on its disk: its certificate, and whom it trusts. */
  function identity(node: string): { certificate: X509Certificate; roots: string } {
    const text = readFileSync(join(fixture.lab.dir, node, "data/swarm/identity.json"), "utf8");
    const { certificate, root } = JSON.parse(text) as { certificate: string; root: string };
    return { certificate: new X509Certificate(certificate), roots: root.trim() };
  }

  /** Every node has a certificate of this root; that they are to trust no other they hear a moment later. */
  async function assertOf(root: string): Promise<void> {
    const { publicKey } = new X509Certificate(root);
    for (const node of ALL) {
      assert.ok(identity(node).certificate.verify(publicKey), `${node}'s certificate is of the new root`);
      await until(`${node} trusts the new root alone`, async () => identity(node).roots === root.trim());
    }
  }

  async function tlsStatus(): Promise<Map<string, string>> {
    const lines = (await cli().ok("node", "ls", "--format", "{{.Hostname}} {{.TLSStatus}}")).split("\n");
    return new Map(lines.map((line) => [line.split(" ")[0]!, line.split(" ").slice(1).join(" ")]));
  }

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "ce-ca-"));
    await loadUsual(fixture.lab);
    const service = ["--name", "web", "--mode", "global", "-p", `${PORT}:8080`];
    await cli().ok("service", "create", "-q", ...service, "whoami");
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("by one made here: every node moves over, no request fails, the old tokens are no longer good", async () => {
    const before = await cli().ok("swarm", "ca");
    assert.match(
      (await cli().fails("swarm", "ca", "--cert-expiry", "2h")).stderr,
      /flag requires the `--rotate` flag/,
    );
    const [old, running] = [await token(), await processIds(fixture.lab, "node3")];
    const traffic = new Traffic(
      ALL.map((name) => fixture.lab.node(name)),
      PORT,
    );
    const said = await cli().ok("swarm", "ca", "--rotate");
    const after = await cli().ok("swarm", "ca");
    assert.ok(said.endsWith(after));
    assert.notEqual(after, before);
    assert.deepEqual((await traffic.stop()).failures, []);
    await assertOf(after);
    assert.deepEqual(await tlsStatus(), new Map(ALL.map((node) => [node, "Ready"])));
    assert.deepEqual(await processIds(fixture.lab, "node3"), running);
    assert.notEqual(await token(), old);
    await docker(fixture.lab, "node3").ok("swarm", "leave");
    const to = `${fixture.lab.node("node2").address}:2377`;
    const refused = await docker(fixture.lab, "node3").fails("swarm", "join", "--token", old, to);
    assert.match(refused.stderr, /remote CA does not match fingerprint/);
    await docker(fixture.lab, "node3").ok("swarm", "join", "--token", await token(), to);
    await removeLeft(fixture.lab, "node2", "node3");
  });

  it("waits for a node that is away; who joins meanwhile does so with the token there is", async () => {
    await fixture.lab.kill("node4");
    await cli().ok("swarm", "ca", "--rotate", "--detach", "--cert-expiry", "2h");
    await until("all but node4 have moved", async () => {
      const { TLSInfo } = await swarm();
      const nodes = await fixture.lab.rest("node1").get<NodeTls[]>("/nodes");
      const moved = nodes.filter(
        ({ Description }) => Description.TLSInfo.CertIssuerPublicKey === TLSInfo.CertIssuerPublicKey,
      );
      return moved.length === nodes.length - 1;
    });
    assert.equal((await swarm()).RootRotationInProgress, true);

    await docker(fixture.lab, "node3").ok("swarm", "leave");
    const to = `${fixture.lab.node("node1").address}:2377`;
    await docker(fixture.lab, "node3").ok("swarm", "join", "--token", await token(), to);
    await removeLeft(fixture.lab, "node2", "node3");

    await fixture.lab.restart("node4");
    await until("it ends", async () => !(await swarm()).RootRotationInProgress);
    const root = await cli().ok("swarm", "ca");
    await until("all have moved", async () =>
      [...(await tlsStatus()).values()].every((it) => it === "Ready"),
    );
    await assertOf(root);
    for (const node of ALL) {
      const { validTo } = identity(node).certificate;
      assert.ok(Date.parse(validTo) - Date.now() < 2 * HOUR, `${node}: ${validTo}`);
    }
    await nodeState(fixture.lab, "node1", "node4", "ready");
  });

  it("by one of the user's, which must be one", async () => {
    await (await TestAuthority.create()).writeRoot(dir);
    const [certificate, key] = [join(dir, "ca.pem"), join(dir, "ca-key.pem")];
    const nonsense = join(dir, "nonsense.pem");
    writeFileSync(nonsense, "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n");
    const other = join(dir, "other");
    await (await TestAuthority.create()).issue(other, "somebody");
    const refused = async (ca: string, of: string) =>
      (await cli().fails("swarm", "ca", "--rotate", "--ca-cert", ca, "--ca-key", of)).stderr;
    assert.match(await refused(nonsense, key), /CA certificate/);
    assert.match(await refused(certificate, join(other, "key.pem")), /is not that of the CA certificate/);
    assert.match(await refused(join(other, "cert.pem"), join(other, "key.pem")), /not one of a CA/);
    assert.match(
      (await cli().fails("swarm", "ca", "--rotate", "--ca-cert", certificate)).stderr,
      /external|go together/i,
    );
    assert.equal((await swarm()).RootRotationInProgress, false);

    await cli().ok("swarm", "ca", "--rotate", "--ca-cert", certificate, "--ca-key", key, "-q");
    assert.equal(await cli().ok("swarm", "ca"), readFileSync(certificate, "utf8").trim());
    await assertOf(readFileSync(certificate, "utf8"));
    const said = await creel(fixture.lab).ok("swarm", "ca", "--rotate", "-q");
    assert.match(said, /BEGIN CERTIFICATE/);
    await assertOf(said);
  });
});
