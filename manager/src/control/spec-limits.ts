import { messageOf } from "@creel/shared";
import { ServiceSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { invalid } from "./names.ts";

/** A specification is in the log and in each manager's memory. */
const MAX_BYTES = 1 << 20;
const MAX_NETWORKS = 128;
const MAX_PORTS = 4096;
const MAX_CONSTRAINTS = 256;

/** Refuses a spec that is too large to keep, to write or to decide upon. */
export function checkSpecLimits(spec: ServiceSpec): void {
  atMost("networks", spec.task?.networks.length ?? 0, MAX_NETWORKS);
  atMost("published ports", spec.endpoint?.ports.length ?? 0, MAX_PORTS);
  atMost("constraints", spec.task?.placement?.constraints.length ?? 0, MAX_CONSTRAINTS);
  const bytes = encoded(spec).length;
  if (bytes > MAX_BYTES)
    throw invalid(
      `the service's specification has ${bytes} bytes, at most ${MAX_BYTES} are kept: put data into configs or volumes`,
    );
}

function atMost(what: string, count: number, most: number): void {
  if (count > most) throw invalid(`a service has at most ${most} ${what}, not ${count}`);
}

/** What the log could not give back must not come into it. */
function encoded(spec: ServiceSpec): Uint8Array {
  try {
    const bytes = ServiceSpec.encode(spec).finish();
    ServiceSpec.decode(bytes);
    return bytes;
  } catch (error) {
    throw invalid(`a number of the service's specification is out of range: ${messageOf(error)}`);
  }
}
