import assert from "node:assert/strict";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { meets } from "../../src/scheduler/constraints.ts";
import { type Constraint, type ConstraintError, parseConstraint } from "../../src/scheduler/mod.ts";
import { aNode } from "../support/specs.ts";

const base = aNode("n1");
const node = {
  ...base,
  spec: { ...base.spec!, role: NodeRole.NODE_ROLE_MANAGER, labels: { zone: "East-1" } },
  description: { ...base.description!, engineLabels: { "storage.kind": "ssd" } },
  status: { ...base.status!, addr: "10.1.2.3" },
};

describe("constraints", () => {
  for (const [text, fits] of [
    ["node.id==n1", true],
    ["node.id != n1", false],
    ["node.hostname == HOST-N1", true],
    ["node.role==manager", true],
    ["node.role!=manager", false],
    ["node.platform.os==linux", true],
    ["node.platform.arch==amd64", true],
    ["node.platform.arch==x86_64", true],
    ["node.platform.arch==arm64", false],
    ["node.labels.zone==east-1", true],
    ["node.labels.zone!=west", true],
    ["node.labels.none==x", false],
    ["node.labels.none!=x", true],
    ["engine.labels.storage.kind==ssd", true],
    ["node.ip==10.1.0.0/16", true],
    ["node.ip==10.1.2.3", true],
    ["node.ip!=10.2.0.0/16", true],
  ] as const) {
    it(`${text} is ${fits}`, () => {
      const constraint = parseConstraint(text);
      assert.ok("key" in constraint);
      assert.equal(meets(node, constraint as Constraint), fits);
    });
  }

  for (const [text, position] of [
    ["node.role=manager", 17],
    ["node.nothing==x", 0],
    ["node.labels.==x", 0],
    ["node.role==", 11],
    ["no de==x", 0],
    ["node.ip==east", 9],
    ["", 0],
  ] as const) {
    it(`"${text}" is refused at ${position}`, () => {
      const error = parseConstraint(text) as ConstraintError;
      assert.equal(error.position, position);
      assert.ok(error.message && error.hint);
    });
  }
});
