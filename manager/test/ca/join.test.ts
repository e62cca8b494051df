import assert from "node:assert/strict";
import { callsOf, type ErrorCode, isCreelError, systemClock, systemRandom } from "@creel/shared";
import { CaClient, type CaServer, CaService } from "@creel/shared/gen/cluster/v1/ca.ts";
import {
  ControlClient,
  type ControlServer,
  ControlService,
  UpdateCluster,
} from "@creel/shared/gen/cluster/v1/control.ts";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { connect, type Identity, LiveIdentity, strangerCredentials } from "@creel/shared/tls";
import { joinCluster, newCluster, renewalDelay, renewIdentity } from "../../src/mod.ts";
import { TestAgent } from "../harness/agent.ts";
import { TestCluster, until } from "../harness/cluster.ts";

const ports = { clock: systemClock, random: systemRandom };

describe("joining and trust", function () {
  this.timeout(60_000);
  let cluster: TestCluster;

  before(async () => {
    cluster = await TestCluster.start(2);
  });
  after(async () => {
    await cluster?.stop();
  });

  const tokens = () => cluster.nodes[0]!.manager.view().cluster().rootCa!;
  const join = (token: string, remoteAddrs = cluster.addrs()) =>
    joinCluster({ remoteAddrs, token, availability: 0 });
  const refused = (promise: Promise<unknown>, code: ErrorCode) =>
    assert.rejects(promise, (error) => isCreelError(error, code) || assert.fail(String(error)));

  async function control(identity: Identity): Promise<unknown> {
    const { addr } = await cluster.leader();
    const client = connect(ControlClient, addr, new LiveIdentity(identity));
    try {
      return await callsOf<ControlServer>(client, ControlService, addr, 5_000).do({
        kind: { $case: "removeService", value: "none" },
      });
    } finally {
      client.close();
    }
  }

  it("gives each token's role, through any manager", async () => {
    const [follower] = cluster.followers();
    const { identity: worker, dataPathPort } = await join(tokens().workerToken, [follower!.addr]);
    assert.equal(worker.role, NodeRole.NODE_ROLE_WORKER);
    assert.equal(dataPathPort, cluster.nodes[0]!.manager.view().cluster().dataPathPort);
    const { identity: manager } = await join(tokens().managerToken, ["127.0.0.1:1", follower!.addr]);
    assert.equal(manager.role, NodeRole.NODE_ROLE_MANAGER);
    assert.notEqual(manager.nodeId, worker.nodeId);
    assert.equal(manager.clusterId, cluster.nodes[0]!.live.current().clusterId);
  });

  it("refuses a wrong token, one that was rotated, one of another cluster, and no token at all", async () => {
    const old = tokens().workerToken;
    await refused(join(`${old.slice(0, -25)}${"0".repeat(25)}`), "wrong_token");
    const known = cluster.nodes[0]!.manager.view().cluster();
    const value = UpdateCluster.fromPartial({ version: known.meta!.version, rotateWorkerToken: true });
    await cluster.nodes[0]!.manager.control({ kind: { $case: "updateCluster", value } });
    await refused(join(old), "wrong_token");
    assert.equal((await join(tokens().workerToken)).identity.role, NodeRole.NODE_ROLE_WORKER);
    const other = await newCluster({}, ports);
    await refused(join(other.cluster.rootCa!.workerToken), "wrong_ca");
    await refused(join("SWMTKN-1-nonsense"), "invalid_token");
    await refused(join(old, ["127.0.0.1:1"]), "remote_unreachable");
  });

  it("refuses a token from its end on, and gives the one after it no end", async () => {
    const rotate = (tokenTtl: number) => {
      const version = cluster.nodes[0]!.manager.view().cluster().meta!.version;
      const value = UpdateCluster.fromPartial({ version, rotateWorkerToken: true, tokenTtl });
      return cluster.nodes[0]!.manager.control({ kind: { $case: "updateCluster", value } });
    };
    await rotate(1_000);
    const { workerToken, workerTokenExpires, managerToken } = tokens();
    assert.equal((await join(workerToken)).identity.role, NodeRole.NODE_ROLE_WORKER);
    await until("the token has expired", () => Date.now() >= workerTokenExpires);
    await refused(join(workerToken), "expired_token");
    assert.equal((await join(managerToken)).identity.role, NodeRole.NODE_ROLE_MANAGER);
    await rotate(0);
    assert.equal(tokens().workerTokenExpires, 0);
    assert.equal((await join(tokens().workerToken)).identity.role, NodeRole.NODE_ROLE_WORKER);
    await refused(rotate(999), "invalid_parameter");
  });

  it("lets workers, strangers and nodes of other clusters reach only what is theirs", async () => {
    await refused(control(await cluster.join("worker")), "permission_denied");
    const other = await newCluster({}, ports);
    const root = cluster.nodes[0]!.live.current().root;
    await refused(
      control({ ...other.identity, root, clusterId: cluster.nodes[0]!.live.current().clusterId }),
      "unauthenticated",
    );
    await refused(control(await cluster.join("manager")), "no_such_service");

    const { addr } = await cluster.leader();
    const stranger = new ControlClient(addr, strangerCredentials(root), {
      "grpc.ssl_target_name_override": "node.creel",
    });
    await refused(
      callsOf<ControlServer>(stranger, ControlService, addr, 5_000).do({ kind: undefined }),
      "unauthenticated",
    );
    stranger.close();
    const bare = new CaClient(addr, strangerCredentials(root), {
      "grpc.ssl_target_name_override": "node.creel",
    });
    await refused(
      callsOf<CaServer>(bare, CaService, addr, 5_000).issue({
        csr: Buffer.alloc(1),
        token: "",
        availability: 0,
      }),
      "unauthenticated",
    );
    bare.close();
  });

  it("renews a certificate under the same name, with a new key, while connections live on", async () => {
    const agent = new TestAgent(await cluster.join("worker"), cluster.addrs(), 9);
    try {
      await until("its first assignments", () => agent.batches.length > 0);
      const before = agent.live.current();
      const after = await renewIdentity(agent.live, cluster.addrs());
      assert.equal(after.nodeId, before.nodeId);
      assert.notEqual(after.key, before.key);
      agent.live.replace(after);
      await refused(control(after), "permission_denied");
    } finally {
      agent.stop();
    }
  });

  it("plans the renewal between half and four fifths of a certificate's life", () => {
    const { certificate } = cluster.nodes[0]!.live.current();
    const day = 24 * 60 * 60 * 1000;
    const at = (next: number) =>
      renewalDelay(certificate, Date.now(), { next: () => next, bytes: () => new Uint8Array() });
    assert.ok(Math.abs(at(0) - 45 * day) < day, String(at(0)));
    assert.ok(Math.abs(at(1) - 72 * day) < day, String(at(1)));
  });

  it("shuts a removed node out", async () => {
    const identity = await cluster.join("worker");
    const { manager } = await cluster.leader();
    await manager.control({ kind: { $case: "removeNode", value: { id: identity.nodeId, force: true } } });
    await refused(control(identity), "node_removed");
    const agent = new TestAgent(identity, cluster.addrs(), 8);
    await until("the refusal", () => agent.errors.includes("node_removed"));
    agent.stop();
  });
});
