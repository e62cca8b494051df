import assert from "node:assert/strict";
import { portsText } from "../src/commands/container/ports.ts";
import { type ListOptions, listing, type View } from "../src/output/listing.ts";
import { pretty } from "../src/output/pretty.ts";
import { hasColour } from "../src/output/style.ts";
import { cut, table } from "../src/output/table.ts";

interface Thing {
  id: string;
  name: string;
  labels: Record<string, string>;
}
const view: View<Thing> = {
  fields: {
    ID: (it) => it.id,
    Name: (it) => it.name,
    Label: (it) => (key: string) => it.labels[key] ?? "",
  },
  headings: { ID: "THING ID", Name: "NAME" },
  columns: ["ID", "Name"],
};
const things: Thing[] = [
  { id: "1", name: "one", labels: { a: "x" } },
  { id: "22", name: "two\nlines", labels: {} },
];
const shown = async (o: ListOptions) => (await listing(things, view, o)).join("\n");

describe("listings", () => {
  it("are tables, only ids, JSON, or what a template says", async () => {
    assert.equal(await shown({}), "THING ID   NAME\n1          one\n22         two lines");
    assert.equal(await shown({ format: "table" }), await shown({}));
    assert.equal(await shown({ quiet: true }), "1\n22");
    assert.equal(
      await shown({ format: "json" }),
      '{"ID":"1","Name":"one"}\n{"ID":"22","Name":"two\\nlines"}',
    );
    assert.equal(await shown({ format: "{{json .}}" }), await shown({ format: "json" }));
    assert.equal(await shown({ format: '{{.ID}}:{{.Label "a"}}' }), "1:x\n22:");
    assert.equal(
      await shown({ format: 'table {{.Name}}\\t{{.Label "a"}}\\t{{upper .ID}}' }),
      "NAME        a   THING ID\none         x   1\ntwo lines       22",
    );
  });
  it("give a format the last word over --quiet, and say which name is unknown", async () => {
    assert.equal(await shown({ quiet: true, format: "{{.Name}}" }), "one\ntwo\nlines");
    await assert.rejects(shown({ format: "{{.Nope}}" }), /no entry for key "Nope"/);
  });
  it("hold a heading where there is nothing to list", async () => {
    assert.deepEqual(await listing([], view, {}), ["THING ID   NAME"]);
    assert.deepEqual(await listing([], view, { quiet: true }), []);
  });
});

describe("tables", () => {
  const rows = [
    ["ID", "IMAGE", "NAME"],
    ["abcdefghijkl", "registry.example.com/a/long/name", "a-service-with-a-long-name"],
    ["x", "y", "é"],
  ];
  it("are aligned, without trailing blanks", () => {
    assert.equal(
      table([
        ["ID", "NAME"],
        ["abc", "x"],
      ]),
      "ID    NAME\nabc   x",
    );
  });
  for (const width of [40, 50, 60, 75]) {
    it(`fit ${width} columns, and keep what is rigid`, () => {
      const text = table(rows, { width, flexible: (i) => i > 0 });
      for (const line of text.split("\n")) assert.ok([...line].length <= width, line);
      assert.match(text, /abcdefghijkl/);
      assert.match(text, /…/);
    });
  }
  it("lose columns that are empty before cells get unreadable", () => {
    const some = rows.map((row, i) => [...row, i === 0 ? "EMPTY" : ""]);
    assert.match(table(some, { width: 100 }), /EMPTY/);
    assert.doesNotMatch(table(some, { width: 52 }), /EMPTY/);
  });
  it("stay whole where there is room", () => {
    assert.equal(table(rows, { width: 200 }), table(rows));
    assert.equal(cut("abc", 3), "abc");
    assert.equal(cut("abcd", 3), "ab…");
  });
});

describe("colours", () => {
  it("are for terminals, where nobody said NO_COLOR", () => {
    assert.equal(hasColour({ isTTY: true }, {}), true);
    assert.equal(hasColour({ isTTY: true }, { NO_COLOR: "1" }), false);
    assert.equal(hasColour({ isTTY: true }, { TERM: "dumb" }), false);
    assert.equal(hasColour({ isTTY: false }, {}), false);
  });
});

describe("ports", () => {
  it("are drawn together where they follow each other", () => {
    const tcp = (PrivatePort: number, PublicPort?: number, IP = "0.0.0.0") => ({
      PrivatePort,
      Type: "tcp",
      ...(PublicPort !== undefined && { PublicPort, IP }),
    });
    assert.equal(portsText([]), "");
    assert.equal(
      portsText([tcp(81, 8081), tcp(80, 8080), tcp(90), tcp(91)]),
      "0.0.0.0:8080-8081->80-81/tcp, 90-91/tcp",
    );
    assert.equal(portsText([tcp(80, 8080, "::"), tcp(80, 8080)]), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
  });
});

describe("what was inspected, for people", () => {
  it("is a line a field, with units and without what is empty", () => {
    const found = {
      ID: "x",
      Labels: {},
      UpdateConfig: { Parallelism: 0, Delay: 90_500_000_000, Monitor: 0 },
      Limits: { NanoCPUs: 1_500_000_000, MemoryBytes: 64 << 20 },
      Env: ["A=b", "C=d"],
      Ports: [{ Target: 80 }, { Target: 81, Mode: "" }],
      Error: null,
    };
    assert.deepEqual(pretty(found), [
      "ID: x",
      "UpdateConfig:",
      " Parallelism: 0",
      " Delay: 1m30.5s",
      " Monitor: 0s",
      "Limits:",
      " NanoCPUs: 1.5",
      " MemoryBytes: 64MiB",
      "Env: A=b, C=d",
      "Ports:",
      " Target: 80",
      "Ports:",
      " Target: 81",
    ]);
  });
});
