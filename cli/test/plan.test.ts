import assert from "node:assert/strict";
import { type Plan, planLines } from "../src/commands/plan/show.ts";
import { whyLines } from "../src/commands/why/why.ts";

const node = (name: string) => ({ ID: `id-${name}`, Hostname: name });
const none = { Truncated: false, Complete: true, Warnings: [] };
const safe = { Fits: true, Checked: 2, Nodes: 2, Losses: [] };

describe("a plan as text", () => {
  it("lists what becomes of each task, and leaves empty columns out", () => {
    const plan: Plan = {
      ...none,
      Services: [
        {
          Name: "web",
          Change: "update",
          Counts: { create: 0, keep: 1, replace: 0, move: 1, stop: 0, wait: 0 },
          Tasks: [
            { Action: "keep", Slot: 1, Node: node("node1") },
            { Action: "move", Slot: 2, Node: node("node1"), From: node("node2") },
          ],
        },
      ],
      Fits: true,
      WithoutANode: safe,
    };
    assert.deepEqual(planLines(plan), [
      "Service web is updated: 1 kept, 1 moved",
      "  TASK    ACTION   NODE    FROM",
      "  web.1   keep     node1",
      "  web.2   move     node1   node2",
      "",
      "Fits: yes",
      "Fits with any one node fewer: yes",
    ]);
  });

  it("counts kept tasks where there are many, and says which node's loss breaks what", () => {
    const kept = Array.from({ length: 21 }, (_, i) => ({ Action: "keep", Slot: i + 1, Node: node("node1") }));
    const plan: Plan = {
      ...none,
      Services: [
        {
          Name: "web",
          Change: "update",
          Counts: { keep: 21, wait: 1 },
          Tasks: [...kept, { Action: "wait", Slot: 22, Reason: "no suitable node" }],
        },
      ],
      Fits: false,
      WithoutANode: {
        Fits: false,
        Checked: 1,
        Nodes: 9,
        Losses: [{ Node: node("node1"), Unplaced: [{ ServiceName: "db", Tasks: 2, Reason: "no room" }] }],
      },
    };
    assert.deepEqual(planLines(plan), [
      "Service web is updated: 21 kept, 1 without a place",
      "  TASK     ACTION   REASON",
      "  web.22   wait     no suitable node",
      "",
      "Fits: no",
      "Fits with any one node fewer: no (looked at 1 of 9 nodes, the fullest first)",
      "  without node1: no place for 2 tasks of db: no room",
    ]);
  });

  it("says when nothing would change, and when its end is not in sight", () => {
    const plan: Plan = { ...none, Services: [], Fits: true, WithoutANode: safe, Complete: false };
    const lines = planLines(plan);
    assert.equal(lines[0], "Nothing would change.");
    assert.match(lines.at(-1)!, /longer than a plan looks ahead/);
  });
});

describe("causes as text", () => {
  it("say how long ago, for which tasks, and for how long yet", () => {
    const lines = whyLines({
      Kind: "service",
      Name: "web",
      Now: "2026-01-01T00:01:00Z",
      Summary: "web: 1 of 5 tasks runs",
      Causes: [
        {
          Code: "no-place",
          At: "2026-01-01T00:00:50Z",
          Text: "no room",
          Tasks: ["web.1", "web.2", "web.3"],
          Count: 4,
        },
        { Code: "restart-delay", At: "2026-01-01T00:00:00Z", Until: "2026-01-01T00:01:05Z", Text: "waits" },
        { Code: "resources", Text: "reserved: 1 of 2 CPUs" },
      ],
    });
    assert.deepEqual(lines, [
      "web: 1 of 5 tasks runs",
      "  10 seconds ago      web.1, web.2, web.3 and 1 more: no room",
      "  about a minute ago  waits (5 seconds more)",
      "                      reserved: 1 of 2 CPUs",
    ]);
  });
});
