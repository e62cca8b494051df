/** Fields whose zero says something else than that they are not there. */
const MEANINGFUL = new Set([
  "Replicated.Replicas",
  "RestartPolicy.Delay",
  "ReplicatedJob.MaxConcurrent",
  "ReplicatedJob.TotalCompletions",
  "UpdateConfig.Parallelism",
  "RollbackConfig.Parallelism",
]);
/** What a field is when it is not there. */
const DEFAULTS: Record<string, unknown> = {
  "Replicated.Replicas": 1,
  "Ports.PublishMode": "ingress",
  "Ports.Protocol": "tcp",
  "TaskTemplate.Runtime": "container",
  "ContainerSpec.Isolation": "default",
  "EndpointSpec.Mode": "vip",
  "RestartPolicy.Condition": "any",
  "RestartPolicy.Delay": 5e9,
};
for (const change of ["UpdateConfig", "RollbackConfig"])
  Object.assign(DEFAULTS, {
    [`${change}.Parallelism`]: 1,
    [`${change}.FailureAction`]: "pause",
    [`${change}.Monitor`]: 5e9,
    [`${change}.Order`]: "stop-first",
  });
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

type Plain = Record<string, unknown>;

/** Parts that say something by being there. */
const KINDS = new Set(["Global", "GlobalJob", "ReplicatedJob"]);

/** The paths (down to two steps below the top) at which two specs mean different things. */
export function differences(wanted: unknown, current: unknown): string[] {
  const found: string[] = [];
  compare(canonical(wanted), canonical(current), "", found);
  return found;
}

function compare(a: unknown, b: unknown, path: string, found: string[]): void {
  if (JSON.stringify(a) === JSON.stringify(b)) return;
  const [left, right] = [a ?? {}, b ?? {}];
  const keys =
    isPlain(left) && isPlain(right) ? [...new Set([...Object.keys(left), ...Object.keys(right)])] : [];
  if (keys.length === 0 || path.split(".").length === 3) return void found.push(path);
  for (const key of keys)
    compare((left as Plain)[key], (right as Plain)[key], path === "" ? key : `${path}.${key}`, found);
}

/** The value without what says nothing, its keys in order: two that mean the same are the same. */
function canonical(value: unknown, parent = "", key = ""): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => canonical(item, parent, key)).filter((item) => item !== undefined);
    if (SETS.has(key)) items.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    return items.length > 0 ? items : undefined;
  }
  if (isPlain(value)) {
    const entries = Object.keys(value)
      .sort()
      .map((name): [string, unknown] => [name, canonical(value[name], key, name)])
      .filter(([, inner]) => inner !== undefined);
    return entries.length > 0 || KINDS.has(key) ? Object.fromEntries(entries) : undefined;
  }
  const path = `${parent}.${key}`;
  if (value === null || value === undefined || value === DEFAULTS[path]) return undefined;
  const isEmpty = value === "" || value === false || value === 0;
  return isEmpty && !MEANINGFUL.has(path) ? undefined : value;
}

const isPlain = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);
