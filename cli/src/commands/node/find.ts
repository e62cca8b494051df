import type { Context } from "../../context.ts";
import { at } from "../words.ts";

export interface NodeSpec {
  Name?: string;
  Labels: Record<string, string>;
  Role: string;
  Availability: string;
}
/** A node as the API has it. */
export interface Node {
  ID: string;
  Version: { Index: number };
  Spec: NodeSpec;
  Description: { Hostname: string; Engine: { EngineVersion: string }; TLSInfo?: unknown };
  Status: { State: string };
  ManagerStatus?: { Leader?: boolean; Reachability: string };
}

/** The node of that name or id; `self` is the one asked. */
export async function find(context: Context, name: string): Promise<Node> {
  return await context.client.get<Node>(at("nodes", name === "self" ? await selfId(context) : name));
}

export async function selfId({ client }: Context): Promise<string> {
  return (await client.get<{ Swarm: { NodeID: string } }>("/info")).Swarm.NodeID;
}
