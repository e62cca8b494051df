import { CreelError } from "@creel/shared";
import type { UpdateCluster } from "@creel/shared/gen/cluster/v1/control.ts";
import type { ClusterSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { MIN_CERT_LIFE_MS } from "../ca/authority.ts";
import { newToken } from "../ca/tokens.ts";
import type { Change, ControlContext } from "./change.ts";
import { invalid } from "./names.ts";

/** The cluster's settings, and new join tokens. */
export function updateCluster(request: UpdateCluster, { view, random }: ControlContext): Change {
  const known = view.cluster();
  if (!known.rootCa) throw new CreelError("no_leader");
  if (request.version !== known.meta?.version) throw new CreelError("out_of_sequence");
  const spec = request.spec ?? known.spec;
  if (spec) checkClusterSpec(spec);
  const rootCa = { ...known.rootCa };
  if (request.rotateWorkerToken) rootCa.workerToken = newToken(rootCa.certificate, random);
  if (request.rotateManagerToken) rootCa.managerToken = newToken(rootCa.certificate, random);
  return {
    actions: [{ kind: { $case: "putCluster", value: { ...known, spec, rootCa } } }],
    id: known.id,
    warnings: [],
  };
}

/** Refuses settings no cluster could work with. Zero takes the default. */
export function checkClusterSpec(spec: ClusterSpec): void {
  if (spec.autolock) {
    throw invalid("autolock is not there in this version of Creel: leave it off");
  }
  if (spec.taskHistoryLimit < 0) throw invalid("task history limit cannot be negative");
  if (spec.heartbeatPeriod !== 0 && spec.heartbeatPeriod < 100) {
    throw invalid("heartbeat period must be at least 100ms");
  }
  if (spec.nodeCertExpiry !== 0 && spec.nodeCertExpiry < MIN_CERT_LIFE_MS) {
    throw invalid("minimum certificate expiry time is: 1h0m0s");
  }
}
