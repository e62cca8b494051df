import { stringify } from "yaml";
import type { Model } from "./model.ts";

/** The stack as one compose file. `isRaw`: its variables still stand there; else each `$` is plain, and escaped. */
export function render(model: Model, isRaw: boolean): string {
  const plain = Object.fromEntries(Object.entries(model).filter(([, value]) => !isEmpty(value)));
  return stringify(isRaw ? plain : escaped(plain), {
    sortMapEntries: true,
    lineWidth: 0,
    aliasDuplicateObjects: false,
  });
}

const isEmpty = (value: unknown) =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;

function escaped(value: unknown): unknown {
  if (typeof value === "string") return value.replaceAll("$", "$$$$");
  if (Array.isArray(value)) return value.map(escaped);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, escaped(inner)]));
}
