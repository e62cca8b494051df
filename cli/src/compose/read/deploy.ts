import type { Deploy, UpdateConfig } from "../model.ts";
import { amount, cores, duration } from "./amounts.ts";
import { integer, list, number, object, oneOf, pairs, type Read, text } from "./shape.ts";

const ratio: Read<number> = (node, scope) => {
  const value = number(node, scope);
  return value === undefined || (value >= 0 && value <= 1)
    ? value
    : scope.fail(node, "must be between 0 and 1");
};

const change = (...failureActions: string[]) =>
  object<UpdateConfig>({
    parallelism: integer(),
    delay: duration,
    failure_action: oneOf(...failureActions),
    monitor: duration,
    max_failure_ratio: ratio,
    order: oneOf("start-first", "stop-first"),
  });

const generic = list(
  object({
    discrete_resource_spec: object({ kind: text, value: integer(1) }, { required: ["kind", "value"] }),
  }),
);

/** How a service is run by the cluster. */
export const deploy: Read<Deploy> = object<Deploy>({
  mode: oneOf("replicated", "global", "replicated-job", "global-job"),
  replicas: integer(),
  labels: pairs(""),
  endpoint_mode: oneOf("vip", "dnsrr"),
  update_config: change("continue", "pause", "rollback"),
  rollback_config: change("continue", "pause"),
  restart_policy: object({
    condition: oneOf("none", "on-failure", "any"),
    delay: duration,
    max_attempts: integer(),
    window: duration,
  }),
  placement: object({
    constraints: list(text),
    preferences: list(object({ spread: text }, { required: ["spread"] })),
    max_replicas_per_node: integer(),
  }),
  resources: object({
    limits: object({ cpus: cores, memory: amount, pids: integer() }),
    reservations: object(
      { cpus: cores, memory: amount, generic_resources: generic },
      { refused: { devices: "reserve them as generic_resources, which nodes announce" } },
    ),
  }),
});
