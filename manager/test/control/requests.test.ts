import assert from "node:assert/strict";
import { type ErrorCode, isCreelError, seededRandom, systemClock } from "@creel/shared";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import {
  ClusterSpec,
  NetworkSpec,
  type NodeRole,
  type ServiceSpec,
  UpdateConfig,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { Healthcheck } from "@creel/shared/gen/engine/v1/container.ts";
import type { RaftStatus } from "node-raft-server";
import { newNode } from "../../src/ca/service.ts";
import type { Change, ControlContext } from "../../src/control/change.ts";
import { checkClusterSpec } from "../../src/control/cluster.ts";
import { createNetwork, removeNetwork } from "../../src/control/networks.ts";
import { removeNode, updateNode } from "../../src/control/nodes.ts";
import { createService, removeService, updateService } from "../../src/control/services.ts";
import { Store } from "../../src/store/mod.ts";
import { replicated } from "../harness/specs.ts";

describe("control", () => {
  let store: Store;
  let index: number;

  beforeEach(() => {
    store = new Store();
    index = 0;
    make(createNetwork(network({ name: "ingress", ingress: true }), context()));
  });

  const raft: RaftStatus = {
    id: 1,
    role: "leader",
    leader: 1,
    term: 1,
    commit: 1,
    applied: 1,
    firstIndex: 1,
    lastIndex: 1,
    snapshotIndex: 0,
    voters: [1, 2, 3],
    learners: [],
    peers: [],
    progress: [
      { id: 1, matched: 1, active: true, snapshot: false },
      { id: 2, matched: 1, active: true, snapshot: false },
      { id: 3, matched: 1, active: false, snapshot: false },
    ],
    diskFull: false,
    removed: false,
  };
  const context = (): ControlContext => ({
    view: store.view(),
    raft,
    clock: systemClock,
    random: seededRandom(++index),
  });
  const apply = (...actions: Action[]) => store.apply({ time: index, actions }, ++index);
  const make = (change: Change) => {
    assert.deepEqual(apply(...change.actions).refusals, []);
    return change.id;
  };
  const network = (spec: Partial<NetworkSpec>) => NetworkSpec.fromPartial({ driver: "overlay", ...spec });
  const refused = (code: ErrorCode, words: RegExp, ask: () => unknown) =>
    assert.throws(ask, (error) => {
      assert.ok(isCreelError(error, code), String(error));
      assert.match((error as Error).message, words);
      return true;
    });
  const badSpec = (words: RegExp, change: (spec: ServiceSpec) => void) => {
    const spec = replicated("web", 1, [80, 80]);
    change(spec);
    refused("invalid_parameter", words, () => createService(spec, context()));
  };

  it("refuses specs that could never run, and says what is wrong with them", () => {
    badSpec(/name must be provided/, (s) => Object.assign(s, { name: "" }));
    badSpec(/DNS name component/, (s) => Object.assign(s, { name: "a b" }));
    badSpec(/63 characters/, (s) => Object.assign(s, { name: "a".repeat(64) }));
    badSpec(/image reference must be provided/, (s) => Object.assign(s.task!.container!, { image: "" }));
    badSpec(/not a valid repository\/tag/, (s) => Object.assign(s.task!.container!, { image: "UPPER/x y" }));
    badSpec(/needs a mode/, (s) => Object.assign(s, { mode: undefined }));
    badSpec(/at character 1: .*operator|operator/, (s) => {
      s.task!.placement = { constraints: ["node.role=manager"], spread: [], maxReplicas: 0, platforms: [] };
    });
    badSpec(/Must be at least 4MiB/, (s) => {
      s.task!.reservations = { nanoCpus: 0, memoryBytes: 1024, generic: {} };
    });
    badSpec(/invalid cpu reservation/, (s) => {
      s.task!.reservations = { nanoCpus: -1, memoryBytes: 0, generic: {} };
    });
    badSpec(/duplicate published ports/, (s) => s.endpoint!.ports.push({ ...s.endpoint!.ports[0]! }));
    badSpec(/dnsrr/, (s) => Object.assign(s.endpoint!, { mode: "dnsrr" }));
    badSpec(/target port must be/, (s) => Object.assign(s.endpoint!.ports[0]!, { targetPort: 0 }));
    badSpec(/unknown restart condition/, (s) => Object.assign(s.task!.restart!, { condition: "never" }));
    badSpec(/maxfailureratio/, (s) => {
      s.update = { parallelism: 1, delay: 0, failureAction: "", monitor: 0, maxFailureRatio: 2, order: "" };
    });
  });

  it("refuses what is too much to keep, and numbers that are none", () => {
    const job = (value: object) => ({ mode: { $case: "replicatedJob", value } });
    badSpec(/replicas must be between 0 and 1000000/, (s) => Object.assign(s, replicated("web", 10 ** 7)));
    badSpec(/out of range/, (s) => Object.assign(s, replicated("web", Number.NaN)));
    badSpec(/replicas must be between|out of range/, (s) => Object.assign(s, replicated("web", -1)));
    badSpec(/max concurrent tasks must be between/, (s) =>
      Object.assign(s, job({ totalCompletions: 1, maxConcurrent: 10 ** 7 })),
    );
    badSpec(/at most 128 networks, not 10000/, (s) => {
      s.task!.networks = Array.from({ length: 10_000 }, (_, n) => ({
        target: `n${n}`,
        aliases: [],
        driverOptions: {},
      }));
    });
    badSpec(/has \d+ bytes, at most 1048576 are kept/, (s) => {
      s.labels = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`l${n}`, "x".repeat(30_000)]));
    });
    badSpec(/out of range/, (s) => {
      s.task!.container!.healthcheck = Healthcheck.fromPartial({
        test: ["CMD", "x"],
        intervalNanos: 2 ** 60,
      });
    });
    badSpec(/Jobs may not have an update config/, (s) =>
      Object.assign(s, {
        ...job({ totalCompletions: 1, maxConcurrent: 1 }),
        update: UpdateConfig.fromPartial({}),
      }),
    );
  });

  it("takes a good one, with defaults filled in and networks by their id", () => {
    const id = make(createNetwork(network({ name: "back" }), context()));
    const spec = replicated("web", 2, [8080, 80]);
    spec.task!.networks = [{ target: "back", aliases: [], driverOptions: {} }];
    spec.endpoint!.ports[0]!.protocol = "";
    const made = make(createService(spec, context()));
    const service = store.view().service(made)!;
    assert.equal(service.spec?.task?.networks[0]?.target, id);
    assert.deepEqual(
      [service.spec?.endpoint?.ports[0]?.protocol, service.spec?.endpoint?.ports[0]?.publishMode],
      ["tcp", "ingress"],
    );
    refused("swarm_network_in_use", /in use by service/, () => removeNetwork(id, context()));
    make(removeService(service.id, context()));
    make(removeNetwork(id, context()));
    refused("no_such_network", /not found/, () => removeNetwork(id, context()));
  });

  it("keeps names and published ports to one service each", () => {
    make(createService(replicated("web", 1, [8080, 80]), context()));
    refused("service_name_taken", /service web already exists/, () =>
      createService(replicated("web", 1), context()),
    );
    refused("published_port_taken", /port '8080' is already in use by service 'web'/, () =>
      createService(replicated("other", 1, [8080, 81]), context()),
    );
    const onHost = (name: string, port: number) => {
      const spec = replicated(name, 1, [port, 81]);
      spec.endpoint!.ports[0]!.publishMode = "host";
      return spec;
    };
    refused("published_port_taken", /port '8080' is already in use/, () =>
      createService(onHost("other", 8080), context()),
    );
    make(createService(onHost("one", 9090), context()));
    make(createService(onHost("two", 9090), context()));
    refused("published_port_taken", /port '9090' is already in use by service 'one'/, () =>
      createService(replicated("other", 1, [9090, 81]), context()),
    );
  });

  it("updates only what was read last, and goes back to what was before", () => {
    const id = make(createService(replicated("web", 1), context()));
    const known = store.view().service(id)!;
    const update = (version: number, spec: ServiceSpec | undefined, rollback = false) =>
      updateService({ id, version, spec, rollback }, context());
    refused("out_of_sequence", /out of sequence/, () => update(known.meta!.version - 1, known.spec));
    refused("invalid_parameter", /previous spec/, () => update(known.meta!.version, undefined, true));
    refused("unsupported", /renaming/, () => update(known.meta!.version, replicated("x", 1)));
    make(update(known.meta!.version, replicated("web", 7)));
    const replicas = () => {
      const mode = store.view().service(id)!.spec!.mode;
      return mode?.$case === "replicated" ? mode.value.replicas : -1;
    };
    assert.equal(replicas(), 7);
    make(update(store.view().service(id)!.meta!.version, undefined, true));
    assert.equal(replicas(), 1);
  });

  it("refuses networks that cannot be", () => {
    make(createNetwork(network({ name: "one", subnet: "10.9.0.0/24" }), context()));
    const bad = (code: ErrorCode, words: RegExp, spec: Partial<NetworkSpec>) =>
      refused(code, words, () => createNetwork(network({ name: "two", ...spec }), context()));
    bad("network_name_taken", /one already exists/, { name: "one" });
    bad("conflict", /Pool overlaps/, { subnet: "10.9.0.128/25" });
    bad("invalid_parameter", /invalid subnet/, { subnet: "10.9.0.0" });
    bad("invalid_parameter", /not in the subnet/, { subnet: "10.8.0.0/24", gateway: "10.7.0.1" });
    bad("invalid_parameter", /use overlay/, { driver: "macvlan" });
    bad("name_in_use", /already present/, { ingress: true });
  });

  it("keeps the managers able to decide", () => {
    const put = (id: string, role: NodeRole, raftId: number) => {
      const node = { ...newNode(id, role, 0), manager: raftId ? { raftId, addr: "h:1" } : undefined };
      apply({ kind: { $case: "putNode", value: { node, ifVersion: 0 } } });
    };
    const demote = (id: string) => {
      const node = store.view().node(id)!;
      return updateNode({ id, version: node.meta!.version, spec: { ...node.spec!, role: 0 } }, context());
    };
    put("n1", 1, 1);
    refused("demote_last_manager", /last manager/, () => demote("n1"));
    put("n2", 1, 2);
    put("n3", 1, 3);
    refused("quorum_would_be_lost", /loss of quorum/, () => demote("n2"));
    make(demote("n3"));
    refused("node_is_manager", /must be demoted/, () => removeNode({ id: "n1", force: true }, context()));
    refused("no_such_node", /not found/, () => removeNode({ id: "nx", force: true }, context()));
  });

  it("refuses settings no cluster could work with", () => {
    const bad = (words: RegExp, spec: Partial<ClusterSpec>) =>
      refused("invalid_parameter", words, () => checkClusterSpec(ClusterSpec.fromPartial(spec)));
    bad(/minimum certificate expiry/, { nodeCertExpiry: 1000 });
    bad(/at least 100ms/, { heartbeatPeriod: 1 });
    bad(/history/, { taskHistoryLimit: -1 });
  });
});
