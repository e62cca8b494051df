import { strict as assert } from "node:assert";
import { bodyOf, maybe, StringMap } from "../src/http/body.ts";
import { HostConfigSchema } from "../src/schema/container.ts";
import { type Static, Type } from "../src/schema/type.ts";

describe("schemas", () => {
  const Port = Type.Object({ Name: Type.String({ maxLength: 4 }), Port: Type.Integer({ minimum: 1 }) });
  const Body = Type.Object({
    Ports: maybe(Type.Array(Port)),
    Command: maybe(Type.Union([Type.String(), Type.Array(Type.String())])),
    Mode: maybe(Type.Literal("vip")),
    Ratio: maybe(Type.Number({ maximum: 1 })),
    Labels: maybe(StringMap),
  });
  const read = bodyOf(Body);
  const refused = (body: unknown, message: string) =>
    assert.throws(() => read(body), { code: "invalid_parameter", message: `invalid request: ${message}` });

  it("takes what fits, absent and null fields, and fields it does not know", () => {
    const body: Static<typeof Body> = {
      Ports: [{ Name: "web", Port: 80 }],
      Command: ["a"],
      Labels: { a: "b" },
    };
    assert.equal(read(body), body);
    const sparse = { Ports: null, Command: "a", Mode: "vip", Ratio: 0.5, Unknown: { deep: 1 } };
    assert.equal(read(sparse), sparse);
    assert.deepEqual(read(undefined), {});
  });

  it("names the place of what is wrong", () => {
    refused([], "the body must be object");
    refused({ Ports: [{ Name: "web", Port: 80 }, { Name: "web" }] }, "Ports.1.Port is required");
    refused({ Ports: [{ Name: "web", Port: 1.5 }] }, "Ports.0.Port must be integer");
    refused({ Ports: [{ Name: "web", Port: 0 }] }, "Ports.0.Port must be >= 1");
    refused({ Ports: [{ Name: "longer", Port: 1 }] }, "Ports.0.Name must not have more than 4 characters");
    refused({ Command: ["a", 1] }, "Command.1 must be string");
    refused({ Mode: "dnsrr" }, 'Mode must be "vip"');
    refused({ Ratio: 2 }, "Ratio must be <= 1");
    refused({ Labels: { a: 1 } }, "Labels.a must be string");
  });

  it("bounds names and values of labels", () => {
    const long = "x".repeat((64 << 10) + 1);
    refused({ Labels: { a: long } }, "Labels.a must not have more than 65536 characters");
    assert.throws(() => read({ Labels: { [long]: "" } }), /Labels.x{64} as a name must not have more/);
  });

  it("an object takes over another's fields", () => {
    const check = bodyOf(HostConfigSchema);
    check({ Memory: 1 << 20, Binds: ["/a:/b"] });
    assert.throws(() => check({ Memory: "much" }), /Memory must be integer/);
  });
});
