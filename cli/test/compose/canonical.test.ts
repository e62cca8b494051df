import assert from "node:assert/strict";
import { differences } from "../../src/compose/canonical.ts";

describe("two specs", () => {
  const same: [string, unknown, unknown][] = [
    ["empty parts", { A: { B: [], C: "", D: 0, E: null } }, {}],
    ["order of keys", { A: 1, B: 2 }, { B: 2, A: 1 }],
    ["order of the environment", { Env: ["A=1", "B=2"] }, { Env: ["B=2", "A=1"] }],
    ["one replica", { Mode: { Replicated: {} } }, { Mode: { Replicated: { Replicas: 1 } } }],
    [
      "the way to publish",
      { Ports: [{ TargetPort: 1 }] },
      { Ports: [{ TargetPort: 1, PublishMode: "ingress", Protocol: "tcp" }] },
    ],
    [
      "how an update goes",
      { UpdateConfig: { Parallelism: 1 } },
      { UpdateConfig: { Monitor: 5e9, Order: "stop-first", FailureAction: "pause" } },
    ],
    [
      "when a task restarts",
      { RestartPolicy: {} },
      { RestartPolicy: { Condition: "any", Delay: 5e9, MaxAttempts: 0 } },
    ],
  ];
  for (const [what, a, b] of same)
    it(`mean the same: ${what}`, () => assert.deepEqual(differences(a, b), []));

  const other: [string, unknown, unknown, string[]][] = [
    [
      "no replica",
      { Mode: { Replicated: { Replicas: 0 } } },
      { Mode: { Replicated: {} } },
      ["Mode.Replicated.Replicas"],
    ],
    ["a mode", { Mode: { Global: {} } }, { Mode: { Replicated: {} } }, ["Mode.Global"]],
    ["no delay", { RestartPolicy: { Delay: 0 } }, { RestartPolicy: {} }, ["RestartPolicy.Delay"]],
    ["order of words", { Args: ["a", "b"] }, { Args: ["b", "a"] }, ["Args"]],
    [
      "all at once",
      { UpdateConfig: { Parallelism: 0, Delay: 1 } },
      { UpdateConfig: { Delay: 1 } },
      ["UpdateConfig.Parallelism"],
    ],
    ["two parts", { A: { B: { C: 1, D: 1 } } }, { A: { B: { C: 2, D: 2 } } }, ["A.B.C", "A.B.D"]],
  ];
  for (const [what, a, b, paths] of other)
    it(`differ: ${what}`, () => {
      assert.deepEqual(differences(a, b), paths);
      assert.deepEqual(differences(b, a), paths);
    });
});
