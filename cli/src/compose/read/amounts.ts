import { duration as parseDuration, size as parseSize } from "../../commands/options.ts";
import { argv } from "../../commands/service/argv.ts";
import { checked, type Read, text, word } from "./shape.ts";

/** Nanoseconds of a duration as Go writes it. */
export const nanoseconds = (duration: string): number => parseDuration(duration.trim());
/** Bytes of an amount with an optional unit. */
export const bytes = (amount: string): number => parseSize(amount);

const tried = (parse: (value: string) => number, wrong: string) => (value: string) => {
  try {
    return parse(value) >= 0 ? undefined : wrong;
  } catch {
    return wrong;
  }
};

/** 1m30s, 500ms */
export const duration: Read<string> = checked(text, (value) =>
  value === ""
    ? "a duration is needed (500ms, 1m30s)"
    : tried(nanoseconds, `"${value}" is no duration (500ms, 1m30s)`)(value),
);

/** 64m, 1.5g, or bytes */
export const amount: Read<string> = checked(word, (value) =>
  tried(bytes, `"${value}" is no amount of bytes (64m, 1g)`)(value),
);

/** The same as a number of bytes. */
export const size: Read<number> = (node, scope) => {
  const value = amount(node, scope);
  return value === undefined ? undefined : bytes(value);
};

/** 0.5 of a core */
export const cores: Read<string> = checked(word, (value) =>
  value.trim() !== "" && Number(value) >= 0 && Number(value) <= 100_000
    ? undefined
    : `"${value}" is no number of cores (0.5)`,
);

/** A command: its words, or a line that is taken apart as a shell does. */
export const command: Read<string[]> = (node, scope) => {
  if (node.kind === "list") return node.items.flatMap((item, i) => word(item, scope.at(i, item.at)) ?? []);
  const line = text(node, scope);
  if (line === undefined) return undefined;
  try {
    return argv(line);
  } catch (error) {
    return scope.fail(node, (error as Error).message);
  }
};
