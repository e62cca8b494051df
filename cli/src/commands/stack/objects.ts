import type { CurrentFile, CurrentService, StackObjects } from "../../compose/changes.ts";
import { NAMESPACE } from "../../compose/convert/specs.ts";
import type { Client } from "../../rest/client.ts";

/** Label filters, as the API takes them, for what belongs to a stack. */
export const ofStack = (name: string) => ({ filters: JSON.stringify({ label: [`${NAMESPACE}=${name}`] }) });

type Network = StackObjects["networks"][number] & { Labels?: Record<string, string> | null };

/** What the cluster has of a stack, and all networks, secrets and configs that it may name. */
export async function objectsOf(client: Client, name: string): Promise<StackObjects> {
  const [services, networks, secrets, configs] = await Promise.all([
    client.get<CurrentService[]>("/services", ofStack(name)),
    client.get<Network[]>("/networks"),
    client.get<CurrentFile[]>("/secrets"),
    client.get<CurrentFile[]>("/configs"),
  ]);
  return { services, networks, secrets, configs };
}

/** What belongs to a stack, by its label. */
export async function partsOf(client: Client, name: string): Promise<StackObjects> {
  const all = await objectsOf(client, name);
  const isOwn = (labels: Record<string, string> | null | undefined) => labels?.[NAMESPACE] === name;
  return {
    services: all.services,
    networks: all.networks.filter((network: Network) => isOwn(network.Labels)),
    secrets: all.secrets.filter(({ Spec }) => isOwn(Spec.Labels)),
    configs: all.configs.filter(({ Spec }) => isOwn(Spec.Labels)),
  };
}
