import assert from "node:assert/strict";
import { expand } from "../../src/compose/variables.ts";

const env: Record<string, string> = { X: "x", EMPTY: "" };
const put = (text: string) =>
  expand(
    text,
    (name) => env[name],
    () => {},
  );

describe("variables", () => {
  const cases: [string, string][] = [
    ["$X-${X}", "x-x"],
    ["$$X $${X}", "$X ${X}"],
    ["${NO:-d} ${EMPTY:-d} ${X:-d}", "d d x"],
    ["${NO-d} ${EMPTY-d} ${X-d}", "d  x"],
    ["${NO:+a} ${EMPTY:+a} ${X:+a}", "  a"],
    ["${NO+a} ${EMPTY+a} ${X+a}", " a a"],
    ["${X:?e}${EMPTY?e}", "x"],
    ["${NO:-${EMPTY:-$X}}", "x"],
    ["${NO:-a:b-c?d}", "a:b-c?d"],
    ["$NO", ""],
    ["no variable", "no variable"],
  ];
  for (const [text, expected] of cases) it(text, () => assert.equal(put(text), expected));

  const failures: [string, RegExp][] = [
    ["${NO:?tell $X}", /^: tell x$/],
    ["${NO?}", /^$/],
    ["${EMPTY:?e}", /: e/],
    ["${X", /a } is missing/],
    ["${}", /a name must follow/],
    ["${X!y}", /what follows X must be one of/],
    ["$1", /a name must follow \$ at character 1/],
    ["$", /a name must follow/],
    [`${"${NO:-".repeat(20)}x${"}".repeat(20)}`, /nested deeper/],
  ];
  for (const [text, expected] of failures)
    it(`refuses ${text.slice(0, 20)}`, () => {
      const found = put(text);
      assert.ok(typeof found === "object", String(found));
      assert.match(found.why, expected);
    });
});
