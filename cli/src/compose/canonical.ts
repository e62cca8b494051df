/** Fields whose zero says something else than that they are not there. */
const MEANINGFUL = new Set(["Replicas", "Delay", "MaxConcurrent", "TotalCompletions"]);
/** What a field is when it is not there. */
const DEFAULTS: Record<string, unknown> = {
  Replicas: 1,
  PublishMode: "ingress",
  Protocol: "tcp",
  Runtime: "container",
  Isolation: "default",
  Mode: "vip",
};
/** Lists whose order says nothing. */
const SETS = new Set([
  "Mounts",
  "Env",
  "CapabilityAdd",
  "CapabilityDrop",
  "Aliases",
  "Ulimits",
  "Ports",
  "Secrets",
  "Configs",
]);

/** The paths (down to two steps below the top) at which two specs mean different things. */
export function differences(wanted: unknown, current: unknown): string[] {
  const found: string[] = [];
  compare(canonical(wanted), canonical(current), "", found);
  return found;
}

function compare(a: unknown, b: unknown, path: string, found: string[]): void {
  if (JSON.stringify(a) === JSON.stringify(b)) return;
  const deeper = isPlain(a) && isPlain(b) && path.split(".").length < 3;
  if (!deeper) return void found.push(path === "" ? "all" : path);
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
    compare(a[key], b[key], path === "" ? key : `${path}.${key}`, found);
}

/** The value without what says nothing, its keys in order: two that mean the same are the same. */
function canonical(value: unknown, key = ""): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => canonical(item)).filter((item) => item !== undefined);
    if (SETS.has(key)) items.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    return items.length > 0 ? items : undefined;
  }
  if (isPlain(value)) {
    const entries = Object.keys(value)
      .sort()
      .map((name): [string, unknown] => [name, canonical(value[name], name)])
      .filter(([, inner]) => inner !== undefined);
    return entries.length > 0 || key === "Global" || key === "GlobalJob"
      ? Object.fromEntries(entries)
      : undefined;
  }
  if (value === null || value === undefined || value === DEFAULTS[key]) return undefined;
  const isEmpty = value === "" || value === false || value === 0;
  return isEmpty && !MEANINGFUL.has(key) ? undefined : value;
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
