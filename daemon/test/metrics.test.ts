import assert from "node:assert/strict";
import { CreelError } from "@creel/shared";
import type { EngineClient } from "@creel/worker";
import { Metrics } from "../src/metrics.ts";

describe("the figures of a node", () => {
  const engine = (list: () => Promise<unknown>) =>
    ({
      containers: { list },
      engine: { info: () => list().then(() => ({ storageDriver: "btrfs" })) },
    }) as unknown as EngineClient;
  const of = (client: EngineClient) =>
    new Metrics({
      engine: client,
      manager: () => undefined,
      inSwarm: () => true,
      version: "1.2.3",
      commit: "abc",
    });
  const samples = async (metrics: Metrics) =>
    (await metrics.render()).text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

  it("of a worker say nothing of what only managers know", async () => {
    const states = ["running", "running", "paused", "exited", "created"];
    const containers = states.map((status) => ({ state: { status } }));
    const lines = await samples(of(engine(async () => ({ containers }))));
    assert.ok(lines.includes("swarm_node_info 1"));
    assert.ok(lines.includes("swarm_node_manager 0"));
    assert.ok(lines.includes("creel_engine_up 1"));
    for (const [state, count] of [
      ["running", 2],
      ["paused", 1],
      ["stopped", 2],
    ]) {
      assert.ok(lines.includes(`engine_daemon_container_states_containers{state="${state}"} ${count}`));
    }
    assert.deepEqual(
      lines.filter((line) => /^(swarm_manager|creel_raft|creel_dispatcher)/.test(line)),
      [],
    );
    assert.ok(
      lines.includes('engine_daemon_engine_info{version="1.2.3",commit="abc",graphdriver="btrfs"} 1'),
    );
  });

  it("are given also while the engine is away", async () => {
    const metrics = of(engine(() => Promise.reject(new CreelError("engine_unavailable", { socket: "x" }))));
    metrics.request("GET", "/info", 503, 0.003);
    const lines = await samples(metrics);
    assert.ok(lines.includes("creel_engine_up 0"));
    assert.ok(!lines.some((line) => line.startsWith("engine_daemon_container_states_containers")));
    assert.ok(lines.includes('creel_api_request_seconds_count{method="GET",route="/info",status="503"} 1'));
  });

  it("count what was agreed on, in seconds", async () => {
    const metrics = of(engine(async () => ({ containers: [] })));
    metrics.proposed(3);
    metrics.proposed(700);
    const lines = await samples(metrics);
    assert.ok(lines.includes('swarm_raft_transaction_latency_seconds_bucket{le="0.005"} 1'));
    assert.ok(lines.includes("swarm_raft_transaction_latency_seconds_count 2"));
  });
});
