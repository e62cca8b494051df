import assert from "node:assert/strict";
import { type CurrentService, type StackObjects, stackChanges } from "../../src/compose/changes.ts";
import type { StackServiceSpec } from "../../src/compose/convert/specs.ts";
import { stackSpecs } from "../../src/compose/convert/stack.ts";
import { load } from "./support.ts";

const FILE = `
services:
  web: {image: whoami, ports: ["80:8080"], networks: [front, old], secrets: [s], configs: [c], environment: {B: "1", A: "2"}}
  all: {image: agent, deploy: {mode: global}}
networks: {front: , old: {external: true, name: outside}}
secrets: {s: {content: x}}
configs: {c: {content: y}}`;
const specs = (text = FILE) => stackSpecs("shop", load({ "a.yaml": text }));
const nothing: StackObjects = {
  services: [],
  networks: [{ Id: "n-out", Name: "outside", Scope: "swarm" }],
  secrets: [],
  configs: [],
};

/** What the API answers once the stack was made: ids for names, defaults written out. */
function made(text = FILE): StackObjects {
  const { services, networks, secrets, configs } = specs(text);
  const file = (ID: string) => (Spec: (typeof secrets)[number]) => ({ ID, Version: { Index: 3 }, Spec });
  return {
    networks: [
      ...nothing.networks,
      ...networks.map(({ Name }) => ({ Id: `n-${Name}`, Name, Scope: "swarm" })),
    ],
    secrets: secrets.map(({ Data: _, ...spec }) => file("s-1")(spec)),
    configs: configs.map(file("c-1")),
    services: services.map((spec, i): CurrentService => {
      const stored = structuredClone(spec) as StackServiceSpec & { EndpointSpec: { Mode: string } };
      const { TaskTemplate: task } = stored;
      for (const use of task.Networks) use.Target = use.Target === "outside" ? "n-out" : `n-${use.Target}`;
      task.Networks.reverse();
      for (const use of task.ContainerSpec.Secrets ?? []) use.SecretID = "s-1";
      for (const use of task.ContainerSpec.Configs ?? []) use.ConfigID = "c-1";
      Object.assign(task, { ForceUpdate: 0, Runtime: "container", Resources: {} });
      Object.assign(task.ContainerSpec, { Isolation: "default" });
      stored.EndpointSpec.Mode = "vip";
      return { ID: `id-${i}`, Version: { Index: 10 + i }, Spec: stored };
    }),
  };
}

const said = (changes: ReturnType<typeof stackChanges>) =>
  changes.map((change) => `${change.action} ${change.kind} ${change.name}`);

describe("what a stack's files change", () => {
  it("makes everything where there is nothing, what is named before what names it", () => {
    assert.deepEqual(said(stackChanges(specs(), nothing)), [
      "create network shop_default",
      "create network shop_front",
      "create secret shop_s",
      "create config shop_c",
      "create service shop_all",
      "create service shop_web",
    ]);
  });

  it("changes nothing that is so already, however the API writes it", () => {
    // a secret's data is not told: the cluster is asked to compare
    assert.deepEqual(said(stackChanges(specs(), made())), ["compare secret shop_s"]);
  });

  it("updates only the service that changed, and says in what", () => {
    const changes = stackChanges(specs(FILE.replace('A: "2"', 'A: "3"')), made());
    assert.deepEqual(said(changes).slice(1), ["update service shop_web"]);
    const [, update] = changes;
    assert.ok(update?.kind === "service" && update.action === "update");
    assert.deepEqual(update.fields, ["TaskTemplate.ContainerSpec.Env"]);
    assert.equal(update.current.Version.Index, 11);
    assert.equal(update.spec.TaskTemplate.ContainerSpec.Secrets![0]!.SecretID, "s-1");
  });

  it("gives a service its replicas back, and keeps ForceUpdate and a pinned image", () => {
    const current = made();
    const web = current.services[1]!;
    web.Spec.Mode = { Replicated: { Replicas: 5 } };
    web.Spec.TaskTemplate.ForceUpdate = 2;
    web.Spec.TaskTemplate.ContainerSpec.Image = "whoami:latest@sha256:abc";
    const update = stackChanges(specs(), current).at(-1)!;
    assert.ok(update.kind === "service" && update.action === "update");
    assert.deepEqual(update.fields, ["Mode.Replicated.Replicas"]);
    assert.equal(update.spec.TaskTemplate.ForceUpdate, 2);
    assert.equal(update.spec.TaskTemplate.ContainerSpec.Image, "whoami:latest@sha256:abc");
  });

  it("removes services that the files no longer have when it is asked to, first", () => {
    const fewer = FILE.replace("  all: {image: agent, deploy: {mode: global}}\n", "");
    assert.deepEqual(said(stackChanges(specs(fewer), made())), ["compare secret shop_s"]);
    assert.deepEqual(said(stackChanges(specs(fewer), made(), { prune: true })), [
      "compare secret shop_s",
      "remove service shop_all",
    ]);
  });

  it("refuses what cannot be", () => {
    assert.throws(
      () => stackChanges(specs(), { ...nothing, networks: [] }),
      /network "outside" is declared as external/,
    );
    const local = [{ Id: "n", Name: "outside", Scope: "local" }];
    assert.throws(() => stackChanges(specs(), { ...nothing, networks: local }), /of this node alone/);
    const text = FILE.replace("secrets: {s: {content: x}}", "secrets: {s: {external: true}}");
    assert.throws(() => stackChanges(specs(text), nothing), /secret "s" is declared as external/);
    const other = specs(FILE.replace("content: y", "content: z"));
    assert.throws(() => stackChanges(other, made()), /config shop_c has other data/);
  });
});
