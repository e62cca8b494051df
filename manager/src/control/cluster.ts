import { CreelError, type Millis } from "@creel/shared";
import type { UpdateCluster } from "@creel/shared/gen/cluster/v1/control.ts";
import type { Cluster, ClusterSpec, RootCa } from "@creel/shared/gen/cluster/v1/objects.ts";
import { MIN_CERT_LIFE_MS, type RootKeys } from "../ca/authority.ts";
import { newToken } from "../ca/tokens.ts";
import { newRotation } from "../ca/trust.ts";
import { newUnlockKey } from "../ca/unlock-key.ts";
import type { Change, ControlContext } from "./change.ts";
import { invalid } from "./names.ts";

const MIN_TOKEN_TTL_MS = 1_000;
const MAX_TOKEN_TTL_MS = 87_600 * 3_600_000;
const MAX_OLD_SNAPSHOTS = 1_000;

/** The cluster's settings; new join tokens, unlock key, root. */
export async function updateCluster(request: UpdateCluster, context: ControlContext): Promise<Change> {
  const known = context.view.cluster();
  if (!known.rootCa) throw new CreelError("no_leader");
  if (request.version !== known.meta?.version) throw new CreelError("out_of_sequence");
  const spec = request.spec ?? known.spec!;
  checkClusterSpec(spec);
  const cluster: Cluster = {
    ...known,
    spec,
    rootCa: await changedRoot(request, known, known.rootCa, spec, context),
    unlockKey: changedUnlockKey(request, known, spec, context),
  };
  return {
    actions: [{ kind: { $case: "putCluster", value: { cluster, ifVersion: request.version } } }],
    id: known.id,
    warnings: [],
  };
}

async function changedRoot(
  request: UpdateCluster,
  known: Cluster,
  root: RootCa,
  spec: ClusterSpec,
  { clock, random }: ControlContext,
): Promise<RootCa> {
  const changed = { ...root };
  const given = givenRoot(request);
  if (given ? !isTarget(root, given) : spec.forceRotate !== known.spec?.forceRotate) {
    changed.rotation = await newRotation(root, given, known.id, clock.now(), random);
  }
  const expires = expiry(request, clock.now());
  if (request.rotateWorkerToken) {
    changed.workerToken = newToken(root.certificate, random);
    changed.workerTokenExpires = expires;
  }
  if (request.rotateManagerToken) {
    changed.managerToken = newToken(root.certificate, random);
    changed.managerTokenExpires = expires;
  }
  return changed;
}

/** When the tokens that a request makes expire; 0: never. */
function expiry({ tokenTtl, rotateWorkerToken, rotateManagerToken }: UpdateCluster, now: Millis): Millis {
  if (tokenTtl === 0) return 0;
  if (!rotateWorkerToken && !rotateManagerToken) {
    throw invalid("only a new join token can be given a life-time: rotate it");
  }
  if (tokenTtl < MIN_TOKEN_TTL_MS || tokenTtl > MAX_TOKEN_TTL_MS) {
    throw invalid("a join token's life-time must be from 1s to 87600h (10 years)");
  }
  return now + tokenTtl;
}

function givenRoot({ signingCaCert, signingCaKey }: UpdateCluster): RootKeys | undefined {
  if (signingCaCert.length === 0 && signingCaKey.length === 0) return undefined;
  if (signingCaCert.length === 0 || signingCaKey.length === 0) {
    throw invalid(
      "a CA certificate and its key go together: external certificate authorities are not supported",
    );
  }
  return {
    certificate: Buffer.from(signingCaCert).toString(),
    key: Buffer.from(signingCaKey).toString(),
  };
}

/** Whether that is the root already, or the one that is being changed to. */
function isTarget(root: RootCa, given: RootKeys): boolean {
  return Buffer.from((root.rotation ?? root).certificate).equals(Buffer.from(given.certificate));
}

function changedUnlockKey(
  { rotateUnlockKey }: UpdateCluster,
  known: Cluster,
  spec: ClusterSpec,
  { random }: ControlContext,
): string {
  if (!spec.autolock) {
    if (rotateUnlockKey) throw invalid("cannot rotate because autolock is not turned on");
    return "";
  }
  return known.unlockKey === "" || rotateUnlockKey ? newUnlockKey(random) : known.unlockKey;
}

/** Refuses settings no cluster could work with. Zero takes the default. */
export function checkClusterSpec(spec: ClusterSpec): void {
  if (spec.taskHistoryLimit < 0) throw invalid("task history limit cannot be negative");
  if (spec.heartbeatPeriod !== 0 && spec.heartbeatPeriod < 100) {
    throw invalid("heartbeat period must be at least 100ms");
  }
  if (spec.nodeCertExpiry !== 0 && spec.nodeCertExpiry < MIN_CERT_LIFE_MS) {
    throw invalid("minimum certificate expiry time is: 1h0m0s");
  }
  if (spec.oldSnapshots > MAX_OLD_SNAPSHOTS) {
    throw invalid(`at most ${MAX_OLD_SNAPSHOTS} old snapshots are kept`);
  }
}
