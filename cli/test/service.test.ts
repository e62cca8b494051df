import assert from "node:assert/strict";
import { ports } from "../src/commands/options.ts";
import { argv } from "../src/commands/service/argv.ts";
import { ulimit } from "../src/commands/service/limits.ts";
import { progressOf, type TaskView } from "../src/commands/service/progress.ts";
import { apply } from "../src/commands/service/spec.ts";
import type { SpecOptions } from "../src/commands/service/spec-options.ts";
import type { Service, ServiceSpec } from "../src/commands/service/types.ts";

const bare = (): ServiceSpec => ({
  Name: "web",
  TaskTemplate: { ContainerSpec: { Image: "a" } },
  Mode: { Replicated: { Replicas: 1 } },
});
const change = (spec: ServiceSpec, o: Partial<SpecOptions>) =>
  apply(spec, { healthcheck: true, ...o }, async (_, name) => `id-of-${name}`);

describe("a service's spec", () => {
  it("takes what was given, and nothing else", async () => {
    assert.deepEqual(await change(bare(), {}), bare());
    const spec = await change(bare(), {
      replicas: 3,
      env: ["A=1"],
      publish: ports("80:8080"),
      network: ["back"],
      limitMemory: 10,
      updateOrder: "start-first",
      constraint: ["node.role==worker"],
    });
    assert.deepEqual(spec.Mode, { Replicated: { Replicas: 3 } });
    assert.deepEqual(spec.TaskTemplate.ContainerSpec.Env, ["A=1"]);
    assert.deepEqual(spec.EndpointSpec, {
      Ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 80, PublishMode: "ingress" }],
    });
    assert.deepEqual(spec.TaskTemplate.Networks, [{ Target: "id-of-back" }]);
    assert.deepEqual(spec.TaskTemplate.Resources, { Limits: { MemoryBytes: 10 } });
    assert.deepEqual(spec.UpdateConfig, { Order: "start-first" });
  });

  it("names secrets and configs with the files they are", async () => {
    const before = await change(bare(), {
      secret: ["key", "source=pass,target=/etc/pass,uid=5,gid=6,mode=0400"],
      config: ["src=conf,target=app.conf"],
    });
    const { Secrets, Configs } = before.TaskTemplate.ContainerSpec;
    const root = { UID: "0", GID: "0", Mode: 0o444 };
    assert.deepEqual(Secrets, [
      { File: { Name: "key", ...root }, SecretID: "id-of-key", SecretName: "key" },
      {
        File: { Name: "/etc/pass", UID: "5", GID: "6", Mode: 0o400 },
        SecretID: "id-of-pass",
        SecretName: "pass",
      },
    ]);
    assert.deepEqual(Configs, [
      { File: { Name: "app.conf", ...root }, ConfigID: "id-of-conf", ConfigName: "conf" },
    ]);
    const after = await change(before, { secretRm: ["pass"], secretAdd: ["source=new,target=key"] });
    assert.deepEqual(
      after.TaskTemplate.ContainerSpec.Secrets!.map(({ SecretName, File }) => [SecretName, File!.Name]),
      [["new", "key"]],
      "a file's place is taken by the newer one",
    );
    assert.equal(after.TaskTemplate.ContainerSpec.Configs, Configs);
    for (const wrong of ["target=x", "source=a,size=3", "source=a,mode=rw"])
      await assert.rejects(change(bare(), { secret: [wrong] }));
  });

  it("is changed by what is added and removed", async () => {
    const before = await change(bare(), {
      env: ["A=1", "B=2"],
      label: ["x=1", "y=2"],
      publish: [...ports("80:8080"), ...ports("90:9090")],
      network: ["one", "two"],
      mount: ["type=volume,source=d,target=/d"],
      constraint: ["c1", "c2"],
      host: ["db:10.0.0.1"],
    });
    const after = await change(before, {
      envAdd: ["A=3", "C=4"],
      envRm: ["B"],
      labelAdd: ["z=3"],
      labelRm: ["x"],
      publishAdd: ports("70:7070"),
      publishRm: ports("9090"),
      networkAdd: ["three", "one"],
      networkRm: ["two"],
      mountAdd: ["type=bind,source=/s,target=/s,readonly"],
      mountRm: ["/d"],
      constraintAdd: ["c3"],
      constraintRm: ["c1"],
      hostRm: ["db:10.0.0.1"],
    });
    const container = after.TaskTemplate.ContainerSpec;
    assert.deepEqual(container.Env, ["A=3", "C=4"]);
    assert.deepEqual(after.Labels, { y: "2", z: "3" });
    assert.deepEqual(
      after.EndpointSpec?.Ports?.map((each) => each.PublishedPort),
      [80, 70],
    );
    assert.deepEqual(after.TaskTemplate.Networks, [{ Target: "id-of-one" }, { Target: "id-of-three" }]);
    assert.deepEqual(container.Mounts, [{ Type: "bind", Source: "/s", Target: "/s", ReadOnly: true }]);
    assert.deepEqual(after.TaskTemplate.Placement?.Constraints, ["c2", "c3"]);
    assert.deepEqual(container.Hosts, []);
    assert.deepEqual(before.Labels, { x: "1", y: "2" }, "what was there is not touched");
  });

  it("keeps the other part of what is changed", async () => {
    const spec = await change(await change(bare(), { limitCpu: 1, restartDelay: 2 }), {
      limitMemory: 3,
      force: true,
    });
    assert.deepEqual(spec.TaskTemplate.Resources, { Limits: { NanoCPUs: 1, MemoryBytes: 3 } });
    assert.deepEqual(spec.TaskTemplate.RestartPolicy, { Delay: 2 });
    assert.equal(spec.TaskTemplate.ForceUpdate, 1);
    await assert.rejects(
      change({ ...bare(), Mode: { Global: {} } }, { replicas: 2 }),
      /replicas can only be used/,
    );
  });

  it("takes limits, resolvers, capabilities and resources, and changes them by name", async () => {
    const before = await change(bare(), {
      ulimit: ulimit("nofile=10:20", ulimit("core=0", undefined)),
      sysctl: ["net.ipv4.ip_forward=1"],
      dns: ["10.0.0.1"],
      dnsSearch: ["a.test"],
      group: ["staff"],
      capAdd: ["NET_ADMIN"],
      capDrop: ["CHOWN"],
      genericResource: ["gpu=2"],
      network: ["name=back,alias=db,alias=store"],
      placementPref: ["spread=node.labels.zone"],
      oomScoreAdj: -5,
      healthCmd: "true",
      healthStartInterval: 7,
    });
    assert.deepEqual(before.TaskTemplate.Networks, [{ Target: "id-of-back", Aliases: ["db", "store"] }]);
    const after = await change(before, {
      ulimitAdd: ulimit("nofile=30", undefined),
      ulimitRm: ["core"],
      sysctlRm: ["net.ipv4.ip_forward"],
      dnsAdd: ["10.0.0.2"],
      dnsSearchRm: ["a.test"],
      groupAdd: ["wheel"],
      capDrop: ["NET_ADMIN"],
      genericResourceAdd: ["ssd=1"],
      placementPrefAdd: ["spread=node.labels.rack"],
    });
    const container = after.TaskTemplate.ContainerSpec;
    assert.deepEqual(container.Ulimits, [{ Name: "nofile", Soft: 30, Hard: 30 }]);
    assert.deepEqual(container.Sysctls, {});
    assert.deepEqual(container.DNSConfig, { Nameservers: ["10.0.0.1", "10.0.0.2"], Search: [] });
    assert.deepEqual(container.Groups, ["staff", "wheel"]);
    assert.deepEqual([container.CapabilityAdd, container.CapabilityDrop], [[], ["CHOWN", "NET_ADMIN"]]);
    assert.deepEqual(
      [container.OomScoreAdj, container.Healthcheck],
      [-5, { Test: ["CMD-SHELL", "true"], StartInterval: 7 }],
    );
    assert.deepEqual(after.TaskTemplate.Resources, {
      Reservations: {
        GenericResources: [
          { DiscreteResourceSpec: { Kind: "gpu", Value: 2 } },
          { DiscreteResourceSpec: { Kind: "ssd", Value: 1 } },
        ],
      },
    });
    assert.equal(after.TaskTemplate.Placement?.Preferences?.length, 2);
    assert.throws(() => ulimit("nofile=9:3", undefined), /soft limit 9 must not be above/);
    await assert.rejects(
      change(bare(), { maxConcurrent: 2 }),
      /max-concurrent can only be used with replicated-job/,
    );
    const job = { ...bare(), Mode: { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 4 } } };
    assert.deepEqual((await change(job, { maxConcurrent: 2, replicas: 5 })).Mode, {
      ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 5 },
    });
  });

  it("takes command lines apart as a shell does", () => {
    assert.deepEqual(argv(`sh -c "echo 'a b' \\"c\\"" 'd e' "" f\\ g`), [
      "sh",
      "-c",
      `echo 'a b' "c"`,
      "d e",
      "",
      "f g",
    ]);
    assert.throws(() => argv("'open"), /unterminated/);
  });
});

describe("progress", () => {
  const service = (running: number, desired: number, update?: Service["UpdateStatus"]): Service => ({
    ID: "s",
    Version: { Index: 1 },
    Spec: bare(),
    Endpoint: {},
    ServiceStatus: { RunningTasks: running, DesiredTasks: desired },
    ...(update && { UpdateStatus: update }),
  });
  const task = (Slot: number, State: string, Err?: string, DesiredState = "running"): TaskView => ({
    ID: `${Slot}${State}`,
    Slot,
    NodeID: "n1",
    DesiredState,
    Status: { State, Timestamp: "2026-01-01", ...(Err && { Err }) },
  });
  const judge = (it: Service, tasks: TaskView[], isRollback = false) =>
    progressOf(it, tasks, tasks, () => "node1", isRollback);

  it("names what is waited for, and why", () => {
    const tasks = [
      task(1, "running"),
      task(2, "pending", "no suitable node (insufficient resources on 3 nodes)"),
      task(3, "pending", "no suitable node (insufficient resources on 3 nodes)"),
      task(4, "preparing"),
      task(5, "failed", "task: non-zero exit (3)", "shutdown"),
      task(5, "ready", undefined, "ready"),
    ];
    const progress = judge(service(1, 5), tasks);
    assert.equal(progress.done, false);
    assert.equal(progress.headline, "1 of 5 tasks run");
    assert.deepEqual(progress.reasons, [
      "2 tasks waiting for a node: no suitable node (insufficient resources on 3 nodes)",
      "1 task preparing on node1: image, mounts, networks",
      "1 task ready on node1, waits for its turn to start: the one before ended: task: non-zero exit (3)",
    ]);
  });
  it("is done when all run and nothing is under way", () => {
    assert.equal(judge(service(2, 2), [task(1, "running"), task(2, "running")]).done, true);
    assert.equal(judge(service(2, 2, { State: "updating" }), [task(1, "running")]).done, false);
    assert.deepEqual(judge(service(3, 2), []).reasons, ["1 task still stopping"]);
    assert.equal(judge(service(0, 0), []).headline, "0 of 0 tasks run");
  });
  it("counts a job's tasks that are done", () => {
    const job = (running: number, desired: number, completed: number, mode: object): Service => ({
      ...service(running, desired),
      Spec: { ...bare(), Mode: mode },
      ServiceStatus: { RunningTasks: running, DesiredTasks: desired, CompletedTasks: completed },
    });
    const count = { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 5 } };
    const waiting = [
      task(0, "pending", "no suitable node", "complete"),
      task(1, "complete", undefined, "complete"),
    ];
    assert.equal(judge(job(1, 2, 4, count), waiting).done, false);
    assert.deepEqual(judge(job(1, 2, 4, count), waiting).reasons, [
      "1 task waiting for a node: no suitable node",
    ]);
    assert.equal(judge(job(0, 2, 5, count), []).done, true);
    assert.equal(judge(job(1, 1, 1, { GlobalJob: {} }), []).done, false);
    assert.equal(judge(job(0, 0, 2, { GlobalJob: {} }), []).done, true);
    assert.equal(judge(job(0, 0, 0, { GlobalJob: {} }), []).done, false);
  });
  it("stops with the cause", () => {
    const paused = judge(service(1, 2, { State: "paused", Message: "task x failed" }), []);
    assert.equal(paused.stopped, "service update paused: task x failed");
    const back = { State: "rollback_completed", Message: "m" };
    assert.equal(judge(service(1, 1, back), []).stopped, "service rolled back: m");
    assert.equal(judge(service(1, 1, back), [], true).stopped, undefined);
  });
  it("does not take a task that fails again and again for going forward", () => {
    const first = judge(service(0, 1), [task(1, "starting")]);
    const again = judge(service(0, 1), [task(1, "failed", "exit", "shutdown"), task(1, "starting")]);
    assert.equal(again.forward, first.forward);
    assert.ok(judge(service(1, 1), [task(1, "running")]).forward > first.forward);
  });
  it("counts a job by what is done", () => {
    const job = service(1, 2);
    job.Spec.Mode = { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 4 } };
    job.ServiceStatus!.CompletedTasks = 3;
    assert.equal(judge(job, []).headline, "3 of 4 tasks done, 1 running");
    job.ServiceStatus!.CompletedTasks = 4;
    assert.equal(judge(job, []).done, true);
  });
});
