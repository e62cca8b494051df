import assert from "node:assert/strict";
import { Container } from "@creel/shared/gen/engine/v1/container.ts";
import { Network, Service, Task, TaskState } from "../src/cluster.ts";
import { bodyOf } from "../src/http/body.ts";
import { frame, LineReader } from "../src/http/frames.ts";
import { toInspect, toListEntry } from "../src/map/container-json.ts";
import { toContainerSpec } from "../src/map/container-spec.ts";
import { fromBind, fromTmpfs } from "../src/map/mounts.ts";
import { toService, toServiceStatus } from "../src/map/service.ts";
import { fromServiceBody } from "../src/map/service-spec.ts";
import { toTask } from "../src/map/task.ts";
import { CreateContainerSchema } from "../src/schema/container.ts";
import { ServiceSpecSchema } from "../src/schema/service.ts";

const create = (body: unknown) => toContainerSpec(bodyOf(CreateContainerSchema)(body), []);
const service = (body: unknown) => fromServiceBody(bodyOf(ServiceSpecSchema)(body));
const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

describe("containers", () => {
  it("maps a body with everything the docker client sends", () => {
    const spec = create({
      Image: "app",
      Cmd: ["serve"],
      Entrypoint: [""],
      ExposedPorts: { "80/tcp": {} },
      Volumes: { "/data": {}, "/made": {} },
      Unknown: 1,
      HostConfig: {
        Binds: ["/srv:/srv:ro", "vol:/data"],
        PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "8080" }], "53/udp": null },
        NetworkMode: "default",
        RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
        Memory: 64 << 20,
        NanoCpus: 5e8,
        SecurityOpt: ["no-new-privileges", "seccomp=unconfined"],
        Tmpfs: { "/tmp": "size=1m,mode=1777" },
        Ulimits: [{ Name: "nofile", Soft: 10, Hard: 20 }],
        CapAdd: null,
      },
      NetworkingConfig: { EndpointsConfig: { default: { Aliases: ["a"] } } },
    });
    assert.ok(spec.clearEntrypoint);
    assert.deepEqual(
      spec.mounts.map(({ type, source, target, readOnly }) => [type, source, target, readOnly]),
      [
        ["bind", "/srv", "/srv", true],
        ["volume", "vol", "/data", false],
        ["tmpfs", "", "/tmp", false],
        ["volume", "", "/made", false],
      ],
    );
    assert.deepEqual(
      spec.ports.map((port) => [port.containerPort, port.protocol, port.hostPort]),
      [
        [80, "tcp", 8080],
        [53, "udp", 0],
      ],
    );
    assert.deepEqual(
      spec.networks.map(({ network, aliases }) => [network, aliases]),
      [["bridge", ["a"]]],
    );
    assert.equal(spec.security?.seccomp, "unconfined");
    assert.ok(spec.security?.noNewPrivileges && !spec.security.noMaskedPaths);
  });

  it("tells modes of the network apart", () => {
    const modeOf = (NetworkMode: string) => create({ Image: "x", HostConfig: { NetworkMode } });
    assert.deepEqual([modeOf("host").networkMode, modeOf("host").networks], ["host", []]);
    assert.equal(modeOf("container:abc").networkMode, "container:abc");
    assert.deepEqual([modeOf("mine").networkMode, modeOf("mine").networks[0]?.network], ["", "mine"]);
  });

  it("refuses what cannot be", () => {
    const bad = [
      [{}, /no image/],
      [{ Image: "x", HostConfig: { Binds: ["a:b:c:d"] } }, /too many colons/],
      [{ Image: "x", HostConfig: { Binds: ["./x:/y"] } }, /absolute path/],
      [{ Image: "x", HostConfig: { PortBindings: { "99999/tcp": [] } } }, /invalid port/],
      [{ Image: "x", HostConfig: { Binds: ["/a:/b"], Tmpfs: { "/b": "" } } }, /Duplicate mount point: \/b/],
      [{ Image: "x", HostConfig: { SecurityOpt: ["nonsense"] } }, /security-opt/],
    ] as const;
    for (const [body, message] of bad) assert.throws(() => create(body), { message });
    assert.throws(() => fromBind("/a:/b/../.."), { message: /destination can't be '\/'/ });
    assert.equal(fromBind("/a:/b/../c").target, "/c");
    assert.throws(() => fromTmpfs("/t", "size=much"), { message: /size/ });
  });

  it("gives back in inspect what was asked, over Docker's defaults", () => {
    const body = {
      Image: "app",
      Labels: { a: "1" },
      HostConfig: { Memory: 64 << 20, VolumeDriver: "local", Binds: null },
    };
    const container = Container.fromPartial({
      id: "a".repeat(64),
      name: "web",
      createdNanos: "1700000000000000000",
      spec: create(body),
      path: "/app",
      args: ["a b"],
      mergedLabels: { a: "1", image: "2" },
      mergedCmd: ["a b"],
      mergedEnv: ["PATH=/bin"],
      state: {
        status: "exited",
        exitCode: 3,
        startedNanos: "1700000000000000000",
        finishedNanos: "1700000060000000000",
      },
      endpoints: [{ networkName: "bridge", address: "172.17.0.2", prefixLength: 16 }],
    });
    const inspect = plain(toInspect(container));
    assert.equal(inspect.Name, "/web");
    assert.equal(inspect.HostConfig.Memory, 64 << 20);
    assert.equal(inspect.HostConfig.VolumeDriver, "local");
    assert.equal(inspect.HostConfig.NetworkMode, "bridge");
    assert.equal(inspect.HostConfig.RestartPolicy.Name, "no");
    assert.deepEqual(inspect.Config.Labels, { a: "1", image: "2" });
    assert.equal(inspect.State.FinishedAt, "2023-11-14T22:14:20Z");
    assert.equal(inspect.NetworkSettings.IPAddress, "172.17.0.2");
    const entry = plain(toListEntry(container, 1700000120000));
    assert.equal(entry.Status, "Exited (3) About a minute ago");
    assert.equal(entry.Command, "/app 'a b'");
  });
});

describe("services", () => {
  const body = {
    Name: "web",
    Labels: { l: "1" },
    TaskTemplate: {
      ContainerSpec: {
        Image: "app",
        Command: ["/x"],
        Args: ["y"],
        Env: ["A=1"],
        Mounts: [{ Type: "volume", Source: "v", Target: "/v" }],
        StopGracePeriod: 5e9,
        Hosts: ["1.2.3.4 h"],
        DNSConfig: { Nameservers: ["9.9.9.9"] },
        Privileges: { NoNewPrivileges: true },
      },
      Resources: {
        Limits: { NanoCPUs: 5e8, MemoryBytes: 64 << 20, Pids: 10 },
        Reservations: { GenericResources: [{ DiscreteResourceSpec: { Kind: "gpu", Value: 2 } }] },
      },
      RestartPolicy: { Condition: "on-failure", Delay: 0, MaxAttempts: 3, Window: 2e9 },
      Placement: {
        Constraints: ["node.role==worker"],
        Preferences: [{ Spread: { SpreadDescriptor: "node.labels.zone" } }],
        MaxReplicas: 2,
      },
      Networks: [{ Target: "net", Aliases: ["w"] }],
      ForceUpdate: 1,
      Runtime: "container",
    },
    Mode: { Replicated: { Replicas: 0 } },
    UpdateConfig: {
      Parallelism: 0,
      Delay: 1e9,
      FailureAction: "rollback",
      Monitor: 3e9,
      MaxFailureRatio: 0.2,
      Order: "start-first",
    },
    EndpointSpec: {
      Mode: "vip",
      Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" }],
    },
  };

  it("comes back as it went in", () => {
    const spec = service(body);
    const back = plain(toService(Service.fromPartial({ id: "s", spec }), () => undefined, false)).Spec;
    for (const key of ["Name", "Labels", "Mode", "UpdateConfig", "EndpointSpec"] as const)
      assert.deepEqual(back[key], body[key], key);
    const { ContainerSpec, ...template } = body.TaskTemplate;
    const { Isolation, ...container } = back.TaskTemplate.ContainerSpec;
    assert.equal(Isolation, "default");
    assert.deepEqual(container, ContainerSpec);
    for (const [key, value] of Object.entries(template)) assert.deepEqual(back.TaskTemplate[key], value, key);
    assert.deepEqual(service(back), spec);
  });

  it("is the same when a client sends back what it was told", () => {
    const empty = { Resources: { Limits: {}, Reservations: {} }, Placement: {}, RestartPolicy: null };
    const spec = service({
      Name: "a",
      TaskTemplate: { ContainerSpec: { Image: "x", DNSConfig: {} }, ...empty },
    });
    const told = plain(toService(Service.fromPartial({ id: "s", spec }), () => undefined, false)).Spec;
    assert.deepEqual(service(told), spec);
    const full = plain(toService(Service.fromPartial({ id: "s", spec }), () => undefined, true)).Spec;
    assert.equal(full.TaskTemplate.RestartPolicy.Delay, 5e9);
  });

  it("takes Docker's defaults where little is given", () => {
    const spec = service({ Name: "a", TaskTemplate: { ContainerSpec: { Image: "x" } } });
    assert.deepEqual(spec.mode, { $case: "replicated", value: { replicas: 1 } });
    assert.equal(spec.update, undefined);
    assert.throws(() => service({ Name: "a" }), { message: /missing runtime/ });
    assert.throws(() => service({ Mode: { Replicated: { Replicas: -1 } } }), { code: "invalid_parameter" });
  });

  it("counts tasks for the service list", () => {
    const spec = service({
      Name: "a",
      TaskTemplate: { ContainerSpec: { Image: "x" } },
      Mode: { Replicated: { Replicas: 4 } },
    });
    const task = (state: TaskState) =>
      Task.fromPartial({ status: { state }, desiredState: TaskState.TASK_STATE_RUNNING });
    const lost = { ...task(TaskState.TASK_STATE_RUNNING), nodeId: "lost" };
    const tasks = [task(TaskState.TASK_STATE_RUNNING), task(TaskState.TASK_STATE_STARTING), lost];
    assert.deepEqual(
      toServiceStatus(Service.fromPartial({ spec }), tasks, (id) => id === "lost"),
      { RunningTasks: 1, DesiredTasks: 4, CompletedTasks: 0 },
    );
  });

  it("writes a task with its addresses", () => {
    const spec = service(body);
    const task = Task.fromPartial({
      id: "t",
      serviceId: "s",
      slot: 2,
      nodeId: "n",
      spec: spec.task,
      desiredState: TaskState.TASK_STATE_RUNNING,
      status: { state: TaskState.TASK_STATE_FAILED, exitCode: 1, err: "boom" },
      attachments: [{ networkId: "net", address: "10.0.1.5" }],
    });
    const network = Network.fromPartial({ id: "net", subnet: "10.0.1.0/24", spec: { name: "net" } });
    const json = plain(toTask(task, () => network));
    assert.deepEqual(
      [json.Status.State, json.Status.Err, json.Status.ContainerStatus.ExitCode],
      ["failed", "boom", 1],
    );
    assert.deepEqual(json.NetworksAttachments[0].Addresses, ["10.0.1.5/24"]);
    assert.equal(json.DesiredState, "running");
  });
});

describe("log lines", () => {
  it("are put together again however they are cut", () => {
    const stream = Buffer.concat([
      frame(1, Buffer.from("one\ntw")),
      frame(2, Buffer.from("err\n")),
      frame(1, Buffer.from("o\nrest")),
    ]);
    for (let size = 1; size <= stream.length; size++) {
      const reader = new LineReader(false);
      const lines: string[] = [];
      for (let at = 0; at < stream.length; at += size) {
        for (const { stream: from, line } of reader.push(stream.subarray(at, at + size)))
          lines.push(`${from}:${line}`);
      }
      for (const { stream: from, line } of reader.rest()) lines.push(`${from}:${line}`);
      assert.deepEqual(lines, ["1:one\n", "2:err\n", "1:two\n", "1:rest"], `pieces of ${size}`);
    }
  });
});
