import { binary } from "./words.ts";

/** Fields that are nanoseconds, bytes or billionths of cores, by how their names end. */
const UNITS: [RegExp, (value: number) => string][] = [
  [/(Delay|Monitor|Window|Interval|Timeout|Period|Expiry|Grace)$/, duration],
  [/(MemoryBytes|SizeBytes)$/, binary],
  [/NanoCPUs$/, (value) => `${value / 1e9}`],
];

/**
 * What an inspection found, as lines for people: a field each, indented below what it belongs to, without what is empty;
 * times, sizes and cores with their units.
 */
export function pretty(value: object): string[] {
  return Object.entries(value).flatMap(([name, field]) => lines(name, field));
}

function lines(name: string, value: unknown): string[] {
  if (Array.isArray(value)) {
    if (value.some((each) => typeof each === "object")) return value.flatMap((each) => lines(name, each));
    return value.length === 0 ? [] : [`${name}: ${value.join(", ")}`];
  }
  if (typeof value === "object" && value !== null) {
    const inner = pretty(value);
    return inner.length === 0 ? [] : [`${name}:`, ...inner.map((line) => ` ${line}`)];
  }
  if (value === undefined || value === null || value === "") return [];
  const unit = typeof value === "number" ? UNITS.find(([pattern]) => pattern.test(name))?.[1] : undefined;
  return [`${name}: ${unit ? unit(value as number) : value}`];
}

/** `90500000000` nanoseconds are `1m30.5s`. */
function duration(nanoseconds: number): string {
  const seconds = nanoseconds / 1e9;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const rest = Number((seconds - hours * 3600 - minutes * 60).toFixed(9));
  const parts = [hours > 0 && `${hours}h`, minutes > 0 && `${minutes}m`, rest > 0 && `${rest}s`];
  return parts.filter(Boolean).join("") || "0s";
}
