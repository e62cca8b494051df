import { type Command, InvalidArgumentError } from "commander";
import type { Context } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import type { Bind } from "../../program.ts";
import { duration, list, whole } from "../options.ts";
import { examples } from "../words.ts";
import { autolockText } from "./lock.ts";

type Spec = Record<string, object | undefined>;
/** What GET /swarm answers. */
export interface Swarm {
  Version: { Index: number };
  Spec: Spec;
  JoinTokens: { Worker: string; Manager: string; WorkerExpiresAt?: string; ManagerExpiresAt?: string };
  TLSInfo?: { TrustRoot?: string };
}

/** The cluster's settings, as options give them. */
export interface Settings {
  taskHistoryLimit?: number;
  dispatcherHeartbeat?: number;
  certExpiry?: number;
  snapshotInterval?: number;
  maxSnapshots?: number;
  externalCa?: string[];
  autolock?: boolean;
}

function truth(text: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw new InvalidArgumentError("true or false is needed");
}

/** Gives a command the options of the cluster's settings. */
export function settingOptions(command: Command): Command {
  return command
    .option("--autolock [true|false]", "managers need a key of yours when they start again", truth)
    .option("--cert-expiry <duration>", "how long nodes' certificates are valid", duration)
    .option("--dispatcher-heartbeat <duration>", "between a node's heartbeats", duration)
    .option("--external-ca <spec>", "certificate authorities outside of the cluster (not supported)", list)
    .option("--max-snapshots <n>", "how many old snapshots managers keep", whole)
    .option("--snapshot-interval <n>", "changes between two snapshots", whole)
    .option("--task-history-limit <n>", "how many ended tasks of a slot are kept", whole);
}

/** The specification with what the options say. */
export function settled(spec: Spec, o: Settings): Spec {
  const part = (name: string, values: Record<string, unknown>) => {
    const given = Object.entries(values).filter(([, value]) => value !== undefined);
    return given.length === 0 ? {} : { [name]: { ...spec[name], ...Object.fromEntries(given) } };
  };
  return {
    ...spec,
    ...part("Orchestration", { TaskHistoryRetentionLimit: o.taskHistoryLimit }),
    ...part("Dispatcher", { HeartbeatPeriod: o.dispatcherHeartbeat }),
    ...part("CAConfig", { NodeCertExpiry: o.certExpiry, ExternalCAs: o.externalCa?.map((URL) => ({ URL })) }),
    ...part("Raft", { SnapshotInterval: o.snapshotInterval, KeepOldSnapshots: o.maxSnapshots }),
    ...part("EncryptionConfig", { AutoLockManagers: o.autolock }),
  };
}

/** `creel swarm update` */
export function update(command: Command, bind: Bind): void {
  settingOptions(command).action(
    bind(async ({ client, print }: Context, o: Settings) => {
      if (Object.keys(o).length === 0) throw invalid("nothing to change was given: see --help");
      const { Version, Spec } = await client.get<Swarm>("/swarm");
      const before = Spec.EncryptionConfig as { AutoLockManagers?: boolean } | undefined;
      await client.post("/swarm/update", { version: Version.Index }, settled(Spec, o));
      print("Swarm updated.");
      if (!o.autolock || before?.AutoLockManagers) return;
      const { UnlockKey } = await client.get<{ UnlockKey: string }>("/swarm/unlockkey");
      print(autolockText(UnlockKey));
    }),
  );
  examples(
    command,
    "creel swarm update --task-history-limit 10",
    "creel swarm update --autolock=true",
    "creel swarm update --dispatcher-heartbeat 10s --cert-expiry 720h",
  );
}
