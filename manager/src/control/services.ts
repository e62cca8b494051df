import { CreelError, newId } from "@creel/shared";
import type { UpdateService } from "@creel/shared/gen/cluster/v1/control.ts";
import {
  type NetworkAttachmentConfig,
  type PortConfig,
  type Service,
  type ServiceSpec,
  UpdateStatus,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView } from "../store/mod.ts";
import type { Change, ControlContext } from "./change.ts";
import { checkServiceSpec } from "./checks.ts";
import { invalid } from "./names.ts";
import { resolveData } from "./references.ts";

/** A new service. */
export function createService(spec: ServiceSpec, { view, random }: ControlContext): Change {
  checkServiceSpec(spec);
  if (view.serviceByName(spec.name)) throw new CreelError("service_name_taken", { name: spec.name });
  const resolved = resolve(spec, view);
  checkPortsFree("", resolved, view);
  const service: Service = {
    id: newId(random),
    meta: undefined,
    spec: resolved,
    specVersion: 0,
    previousSpec: undefined,
    updateStatus: undefined,
    virtualIps: [],
    ports: [],
    jobStatus: undefined,
  };
  return {
    actions: [{ kind: { $case: "putService", value: { service, ifVersion: 0, updateStatus: undefined } } }],
    id: service.id,
    warnings: [],
  };
}

/** A new spec for a service, or back to the one before. */
export function updateService(request: UpdateService, { view, clock }: ControlContext): Change {
  const known = view.service(request.id);
  if (!known) throw new CreelError("no_such_service", { id: request.id });
  if (request.version !== known.meta?.version) throw new CreelError("out_of_sequence");
  const wished = request.rollback ? known.previousSpec : request.spec;
  if (!wished)
    throw invalid(
      request.rollback ? `service ${request.id} does not have a previous spec` : "spec is missing",
    );
  checkServiceSpec(wished);
  if (wished.name !== known.spec?.name) {
    throw new CreelError("unsupported", { message: "renaming services is not supported" });
  }
  if (wished.mode?.$case !== known.spec.mode?.$case) {
    throw new CreelError("unsupported", { message: "service mode change is not allowed" });
  }
  const resolved = resolve(wished, view);
  checkPortsFree(known.id, resolved, view);
  const service: Service = { ...known, spec: resolved, previousSpec: known.spec };
  const rollback = request.rollback && !known.jobStatus;
  const updateStatus = rollback
    ? UpdateStatus.fromPartial({
        state: "rollback_started",
        message: "manually requested rollback",
        startedAt: clock.now(),
      })
    : undefined;
  return {
    actions: [
      { kind: { $case: "putService", value: { service, ifVersion: request.version, updateStatus } } },
    ],
    id: known.id,
    warnings: [],
  };
}

/** Takes a service away; its tasks are stopped by the loops. */
export function removeService(id: string, { view }: ControlContext): Change {
  if (!view.service(id)) throw new CreelError("no_such_service", { id });
  return { actions: [{ kind: { $case: "removeService", value: id } }], id, warnings: [] };
}

/** The spec as the store keeps it: networks by id, secrets and configs with their revision, ports with their defaults. */
function resolve(spec: ServiceSpec, view: StoreView): ServiceSpec {
  const networks = spec.task!.networks.map((network) => ({ ...network, target: networkId(network, view) }));
  const endpoint = spec.endpoint && { ...spec.endpoint, ports: spec.endpoint.ports.map(withDefaults) };
  return { ...spec, task: resolveData({ ...spec.task!, networks }, view), endpoint };
}

function networkId({ target }: NetworkAttachmentConfig, view: StoreView): string {
  const network = view.network(target) ?? view.networkByName(target);
  if (!network) throw new CreelError("no_such_network", { id: target });
  if (network.spec?.ingress) {
    throw invalid(`Service cannot be explicitly attached to the ingress network "${network.spec.name}"`);
  }
  return network.id;
}

function withDefaults(port: PortConfig): PortConfig {
  return { ...port, protocol: port.protocol || "tcp", publishMode: port.publishMode || "ingress" };
}

/** The routing mesh has a port for itself: neither another service nor a host-mode port may have it too. */
function checkPortsFree(id: string, spec: ServiceSpec, view: StoreView): void {
  const wished = spec.endpoint?.ports ?? [];
  if (wished.some(isIngress) && !view.ingressNetwork())
    throw invalid("service needs ingress network, but no ingress network is present");
  if (wished.length === 0) return;
  const key = ({ protocol, publishedPort }: PortConfig) => `${publishedPort}/${protocol || "tcp"}`;
  for (const other of view.services()) {
    if (other.id === id) continue;
    const taken = other.ports.length > 0 ? other.ports : (other.spec?.endpoint?.ports ?? []);
    const byKey = new Map(taken.map((port) => [key(port), port]));
    for (const port of wished) {
      const at = byKey.get(key(port));
      if (!at || port.publishedPort === 0 || !(isIngress(at) || isIngress(port))) continue;
      throw new CreelError("published_port_taken", { port: port.publishedPort, service: other.spec!.name });
    }
  }
}

function isIngress(port: PortConfig): boolean {
  return port.publishMode !== "host";
}
