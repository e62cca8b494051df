import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import type { Bind } from "../../program.ts";
import { duration } from "../options.ts";
import { examples } from "../words.ts";
import { type Swarm, settled } from "./settings.ts";

const POLL_MS = 200;

interface CaOptions {
  rotate?: boolean;
  caCert?: string;
  caKey?: string;
  certExpiry?: number;
  detach?: boolean;
  quiet?: boolean;
}

/** `creel swarm ca` */
export function ca(command: Command, bind: Bind): void {
  command
    .option("--rotate", "give the cluster another root; its nodes move over by themselves")
    .option("--ca-cert <file>", "the root to rotate to (PEM); else one is made")
    .option("--ca-key <file>", "its key (PEM)")
    .option("--cert-expiry <duration>", "how long nodes' certificates are valid from now on", duration)
    .option("-d, --detach", "do not wait until every node has moved over")
    .option("-q, --quiet", "do not tell how far it is")
    .action(bind(show));
  examples(command, "creel swarm ca > ca.pem", "creel swarm ca --rotate");
}

async function show(context: Context, { rotate: rotated, ...o }: CaOptions): Promise<void> {
  const { client, print } = context;
  if (!rotated && Object.keys(o).length > 0) throw invalid("these options go with --rotate");
  if (rotated) {
    await rotate(context, o);
    if (o.detach) return;
    await converged(context, o.quiet ?? false);
  }
  print(((await client.get<Swarm>("/swarm")).TLSInfo?.TrustRoot ?? "").trimEnd());
}

async function rotate({ client }: Context, o: CaOptions): Promise<void> {
  const { Version, Spec } = await client.get<Swarm>("/swarm");
  const { ForceRotate = 0, ...config } = (Spec.CAConfig ?? {}) as { ForceRotate?: number };
  const root = {
    ...(o.caCert && { SigningCACert: readFileSync(o.caCert, "utf8") }),
    ...(o.caKey && { SigningCAKey: readFileSync(o.caKey, "utf8") }),
  };
  const CAConfig = { ...config, ...root, ForceRotate: ForceRotate + 1 };
  await client.post("/swarm/update", { version: Version.Index }, settled({ ...Spec, CAConfig }, o));
}

/** Resolves when every node has a certificate of the new root and trusts no other. */
async function converged({ client, warn }: Context, quiet: boolean): Promise<void> {
  for (let said = ""; ; await delay(POLL_MS)) {
    const swarm = await client.get<Swarm & { RootRotationInProgress: boolean }>("/swarm");
    const wanted = JSON.stringify(swarm.TLSInfo);
    const nodes = await client.get<{ Description: { Hostname: string; TLSInfo?: object } }[]>("/nodes");
    const missing = nodes.filter(({ Description }) => JSON.stringify(Description.TLSInfo) !== wanted);
    const names = missing.map(({ Description }) => Description.Hostname || "a node that was never here");
    const line = `${nodes.length - missing.length}/${nodes.length} nodes have moved over${names.length > 0 ? `; not yet: ${names.join(", ")}` : ""}`;
    if (!quiet && line !== said) warn(line);
    said = line;
    if (missing.length === 0 && !swarm.RootRotationInProgress) return;
  }
}
