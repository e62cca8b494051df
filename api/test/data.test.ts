import assert from "node:assert/strict";
import { Secret, Service } from "../src/cluster.ts";
import { bodyOf } from "../src/http/body.ts";
import { fromBase64, fromDataBody, toData } from "../src/map/data.ts";
import { toRotation } from "../src/map/rotation.ts";
import { toService } from "../src/map/service.ts";
import { fromServiceBody } from "../src/map/service-spec.ts";
import type { ClusterView } from "../src/ports.ts";
import { DataSpecSchema } from "../src/schema/data.ts";
import { ServiceSpecSchema } from "../src/schema/service.ts";

const read = bodyOf(DataSpecSchema);
const readService = bodyOf(ServiceSpecSchema);
const plain = (value: unknown) => JSON.parse(JSON.stringify(value));
const object = Secret.fromPartial({
  id: "x1",
  meta: { version: 7, createdAt: 1000, updatedAt: 2000 },
  spec: { name: "key", labels: { a: "b" }, templating: { name: "golang" } },
  revisions: [
    { number: 1, data: Buffer.from("hidden-1") },
    { number: 2, data: Buffer.from("hidden-2") },
  ],
  revision: 2,
});

describe("secrets and configs", () => {
  it("writes a config with its present value, and a secret without", () => {
    const config = plain(toData(object, true));
    assert.equal(config.Spec.Data, Buffer.from("hidden-2").toString("base64"));
    const secret = plain(toData(object, false));
    assert.deepEqual(secret, {
      ID: "x1",
      Version: { Index: 7 },
      CreatedAt: "1970-01-01T00:00:01.000Z",
      UpdatedAt: "1970-01-01T00:00:02.000Z",
      Spec: { Name: "key", Labels: { a: "b" }, Templating: { Name: "golang", Options: {} } },
    });
  });

  it("reads a value from base64, and repeats none that is not", () => {
    const { spec, data } = fromDataBody(read({ Name: "key", Data: "aGVsbG8=", Labels: null }));
    assert.deepEqual([spec.name, spec.labels, String(data)], ["key", {}, "hello"]);
    for (const text of ["secret value", "aGVsbG8", "aGVs\nbG8="]) {
      assert.throws(() => fromBase64(text), { message: "invalid request: Data is not base64" });
    }
    assert.throws(() => fromDataBody(read({ Name: "key", Driver: { Name: "vault" } })), {
      code: "unsupported",
      message: /secret driver vault is a plugin/,
    });
  });

  it("writes a service's references as it was given them", () => {
    const File = { Name: "key", UID: "5", GID: "6", Mode: 0o440 };
    const references = {
      Secrets: [{ File, SecretID: "x1", SecretName: "key" }],
      Configs: [
        { File: { ...File, Name: "/etc/c" }, ConfigID: "c1", ConfigName: "c" },
        { Runtime: {}, ConfigID: "c2", ConfigName: "d" },
      ],
    };
    const body = { Name: "web", TaskTemplate: { ContainerSpec: { Image: "web", ...references } } };
    const spec = fromServiceBody(readService(body));
    const written = plain(toService(Service.fromPartial({ id: "s", spec }), () => undefined, false));
    const { Secrets, Configs } = written.Spec.TaskTemplate.ContainerSpec;
    assert.deepEqual({ Secrets, Configs }, references);
    const both = { ...references.Configs[0], Runtime: {} };
    assert.throws(
      () =>
        fromServiceBody(readService({ TaskTemplate: { ContainerSpec: { Image: "web", Configs: [both] } } })),
      { message: /both a file and a runtime target/ },
    );
  });

  it("tells how a rotation goes, and no value", () => {
    const service = Service.fromPartial({
      id: "s1",
      specVersion: 9,
      spec: {
        name: "web",
        mode: { $case: "replicated", value: { replicas: 3 } },
        task: { container: { secrets: [{ id: "x1", revision: 1 }] } },
      },
    });
    const rotated = {
      ...object,
      rotation: {
        from: 1,
        to: 2,
        state: "undone",
        startedAt: 1000,
        completedAt: 3000,
        message: "web failed",
      },
    };
    const view = { services: () => [service], tasksOfService: () => [] } as unknown as ClusterView;
    const written = plain(toRotation(rotated, "secret", view));
    assert.deepEqual(written, {
      ID: "x1",
      Name: "key",
      Revision: 2,
      From: 1,
      To: 2,
      State: "undone",
      Message: "web failed",
      StartedAt: "1970-01-01T00:00:01.000Z",
      CompletedAt: "1970-01-01T00:00:03.000Z",
      Services: [{ ID: "s1", Name: "web", Revision: 1, UpdatedTasks: 0, DesiredTasks: 3 }],
    });
  });
});
