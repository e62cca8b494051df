import { CreelError } from "@creel/shared";
import { Availability, type Node, NodeRole, type NodeSpec, NodeState } from "../cluster.ts";
import { fromMillis } from "../http/time.ts";
import type { ManagerStatus } from "../ports.ts";
import { toNodeGeneric } from "./generic-resources.ts";
import { nodeTls } from "./tls-info.ts";

type Json = Record<string, unknown>;
const AVAILABILITY = ["active", "pause", "drain"];
const STATE = ["unknown", "down", "ready", "disconnected"];

/** Docker's word for an availability. */
export const availabilityWord = (value: number) => AVAILABILITY[value] ?? "active";
/** Docker's word for a role. */
export const roleWord = (role: number) => (role === NodeRole.NODE_ROLE_MANAGER ? "manager" : "worker");

/** A node as Docker writes it. */
export function toNode(node: Node, manager: ManagerStatus | undefined): Json {
  const { spec, description, status } = node;
  return {
    ID: node.id,
    Version: { Index: node.meta?.version ?? 0 },
    CreatedAt: fromMillis(node.meta?.createdAt ?? 0),
    UpdatedAt: fromMillis(node.meta?.updatedAt ?? 0),
    Spec: {
      Name: spec?.name || undefined,
      Labels: spec?.labels ?? {},
      Role: roleWord(spec?.role ?? 0),
      Availability: availabilityWord(spec?.availability ?? 0),
    },
    Description: {
      Hostname: description?.hostname ?? "",
      Platform: {
        Architecture: description?.platform?.architecture ?? "",
        OS: description?.platform?.os ?? "",
      },
      Resources: {
        NanoCPUs: description?.resources?.nanoCpus ?? 0,
        MemoryBytes: description?.resources?.memoryBytes ?? 0,
        GenericResources: description?.resources && toNodeGeneric(description.resources),
      },
      Engine: {
        EngineVersion: description?.engineVersion ?? "",
        Labels: description?.engineLabels ?? {},
        Plugins: (description?.plugins ?? []).map((plugin) => {
          const [Type = "", Name = ""] = plugin.split("/");
          return { Type, Name };
        }),
      },
      TLSInfo: nodeTls(node),
    },
    Status: {
      State: STATE[status?.state ?? NodeState.NODE_STATE_UNKNOWN] ?? "unknown",
      Message: status?.message || undefined,
      Addr: status?.addr ?? "",
    },
    ManagerStatus: manager && {
      Leader: manager.leader || undefined,
      Reachability: manager.reachable ? "reachable" : "unreachable",
      Addr: manager.addr,
    },
  };
}

/** The specification for Docker's. */
export function fromNodeSpec(body: {
  Name?: string | null;
  Labels?: Record<string, string> | null;
  Role?: string | null;
  Availability?: string | null;
}): NodeSpec {
  const role = body.Role ?? "";
  if (role !== "worker" && role !== "manager") {
    throw new CreelError("invalid_parameter", { message: `invalid Role: "${role}"` });
  }
  const availability = AVAILABILITY.indexOf((body.Availability ?? "").toLowerCase());
  if (availability < 0) {
    throw new CreelError("invalid_parameter", {
      message: `invalid Availability: "${body.Availability ?? ""}"`,
    });
  }
  return {
    name: body.Name ?? "",
    labels: body.Labels ?? {},
    role: role === "manager" ? NodeRole.NODE_ROLE_MANAGER : NodeRole.NODE_ROLE_WORKER,
    availability: [
      Availability.AVAILABILITY_ACTIVE,
      Availability.AVAILABILITY_PAUSE,
      Availability.AVAILABILITY_DRAIN,
    ][availability]!,
  };
}
