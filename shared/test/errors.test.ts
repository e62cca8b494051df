import assert from "node:assert/strict";
import { CreelError, fromGrpc, isCreelError, registry, toGrpc } from "@creel/shared";

describe("errors", () => {
  it("fills the text and carries the statuses", () => {
    const error = new CreelError("no_such_image", { ref: "foo:latest" });
    assert.equal(error.message, "No such image: foo:latest");
    assert.equal(error.status, 404);
    assert.ok(isCreelError(error, "no_such_image"));
  });
  it("is the same error on the other side of a gRPC call", () => {
    const there = fromGrpc(
      toGrpc(new CreelError("published_port_taken", { port: 80, service: "web" })),
      "node1",
    );
    assert.equal(there.code, "published_port_taken");
    assert.equal(there.message, "port '80' is already in use by service 'web' as an ingress port");
  });
  it("has an HTTP status for each code", () => {
    for (const [code, entry] of Object.entries(registry)) {
      assert.ok(entry.status >= 300 && entry.status < 600, code);
    }
  });
});
