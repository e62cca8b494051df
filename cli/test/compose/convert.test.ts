import assert from "node:assert/strict";
import { stackSpecs } from "../../src/compose/convert/stack.ts";
import { load } from "./support.ts";

const specs = (text: string) => stackSpecs("shop", load({ "a.yaml": text }));
const service = (keys: string) => specs(`services: {web: {image: a, ${keys}}}`).services[0]!;
const container = (keys: string) => service(keys).TaskTemplate.ContainerSpec;

// what docker stack sends as well is compared with it in e2e/test/services/compose.test.ts
describe("a compose file's service for the API", () => {
  it("has what docker stack drops", () => {
    assert.deepEqual(container("tmpfs: ['/run:size=64m,mode=1777,noexec', /tmp]").Mounts, [
      { Type: "tmpfs", Target: "/run", TmpfsOptions: { SizeBytes: 64 << 20, Mode: 0o1777 } },
      { Type: "tmpfs", Target: "/tmp" },
    ]);
    assert.deepEqual(container("group_add: [video, 44]").Groups, ["video", "44"]);
    assert.deepEqual(container("dns_opt: ['ndots:2']").DNSConfig, { Options: ["ndots:2"] });
    assert.deepEqual(service("platform: linux/arm64").TaskTemplate.Placement, {
      Platforms: [{ OS: "linux", Architecture: "arm64" }],
    });
    assert.deepEqual(service("scale: 3").Mode, { Replicated: { Replicas: 3 } });
    assert.deepEqual(
      container("volumes: [{type: bind, source: /a, target: /b, bind: {create_host_path: true}}]").Mounts,
      [{ Type: "bind", Source: "/a", Target: "/b", BindOptions: { CreateMountpoint: true } }],
    );
  });

  it("restarts as restart says, unless deploy says how", () => {
    const policy = (keys: string) => service(keys).TaskTemplate.RestartPolicy;
    assert.equal(policy("restart: no"), undefined);
    assert.deepEqual(policy("restart: unless-stopped"), { Condition: "any" });
    assert.deepEqual(policy("restart: 'on-failure:3'"), { Condition: "on-failure", MaxAttempts: 3 });
    assert.deepEqual(policy("restart: always, deploy: {restart_policy: {condition: none, delay: 0s}}"), {
      Condition: "none",
      Delay: 0,
    });
  });

  it("drops no capability that it adds, and names them whole", () => {
    const { CapabilityAdd, CapabilityDrop } = container(
      "cap_add: [net_admin], cap_drop: [CAP_NET_ADMIN, kill]",
    );
    assert.deepEqual([CapabilityAdd, CapabilityDrop], [["CAP_NET_ADMIN"], ["CAP_KILL"]]);
  });

  it("names the tag that is meant, and keeps what was written as a label", () => {
    const image = (name: string) => {
      const { Labels, TaskTemplate } = specs(`services: {web: {image: '${name}'}}`).services[0]!;
      assert.equal(Labels["com.docker.stack.image"], name);
      return TaskTemplate.ContainerSpec.Image;
    };
    assert.equal(image("a/b"), "a/b:latest");
    assert.equal(image("host:5000/b"), "host:5000/b:latest");
    assert.equal(image("b:2"), "b:2");
  });

  it("sends a credential spec, for the API to refuse", () => {
    const { services, configs } = specs(
      "services: {web: {image: a, credential_spec: {config: c}}}\nconfigs: {c: {content: x}}",
    );
    assert.deepEqual(configs[0]!.Data, Buffer.from("x").toString("base64"));
    assert.deepEqual(services[0]!.TaskTemplate.ContainerSpec.Configs, [
      { Runtime: {}, ConfigName: "shop_c" },
    ]);
    assert.deepEqual(services[0]!.TaskTemplate.ContainerSpec.Privileges, {
      CredentialSpec: { Config: "shop_c" },
    });
  });
});
