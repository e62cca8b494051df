import assert from "node:assert/strict";
import { booleanFilter, hasLabel, nameMatches, parseFilters } from "../src/http/filters.ts";
import { fromNanos, parsePoint } from "../src/http/time.ts";
import { isBefore } from "../src/http/version.ts";
import { inWords } from "../src/map/duration.ts";

describe("filters, times and versions", () => {
  it("reads filters in both forms", () => {
    assert.deepEqual([...parseFilters('{"label":["a=1","b"]}', ["label"])], [["label", ["a=1", "b"]]]);
    assert.deepEqual([...parseFilters('{"name":{"x":true,"y":false}}', ["name"])], [["name", ["x"]]]);
    assert.equal(parseFilters("", []).size, 0);
    assert.equal(parseFilters("null", []).size, 0);
    for (const bad of ["[", "[]", '{"label":1}', '{"label":[1]}', '{"x":["y"]}']) {
      assert.throws(() => parseFilters(bad, ["label"]), { code: "invalid_filter" });
    }
  });

  it("matches labels and names as Docker does", () => {
    assert.ok(hasLabel({ a: "1=2" }, "a=1=2"));
    assert.ok(hasLabel({ a: "" }, "a"));
    assert.ok(!hasLabel({}, "toString"));
    const named = (value: string) => nameMatches(new Map([["name", [value]]]), "name", "/web-1");
    assert.ok(named("web") && named("^/web") && named("^/web-1$") && named("eb-1$") && named("^web-1$"));
    assert.ok(!named("^web-1$x") && !named("^/we$"));
    assert.equal(booleanFilter(parseFilters('{"dangling":["true"]}', ["dangling"]), "dangling"), true);
  });

  it("keeps nanoseconds", () => {
    assert.equal(fromNanos("0"), "0001-01-01T00:00:00Z");
    assert.equal(fromNanos("1700000000123456789"), "2023-11-14T22:13:20.123456789Z");
    assert.equal(fromNanos("1700000000500000000"), "2023-11-14T22:13:20.5Z");
    assert.equal(parsePoint("since", "1700000000.000000001"), "1700000000000000001");
    assert.equal(parsePoint("since", "2023-11-14T22:13:20.123456789Z"), "1700000000123456789");
    assert.throws(() => parsePoint("since", "yesterday"), { code: "invalid_parameter" });
  });

  it("orders versions by number", () => {
    assert.ok(isBefore("1.9", "1.24"));
    assert.ok(!isBefore("1.51", "1.51"));
  });

  it("tells spans in words", () => {
    assert.deepEqual([0, 1, 59, 61, 3599, 3700, 90_000, 20 * 86_400].map(inWords), [
      "Less than a second",
      "1 second",
      "59 seconds",
      "About a minute",
      "59 minutes",
      "About an hour",
      "25 hours",
      "2 weeks",
    ]);
  });
});
