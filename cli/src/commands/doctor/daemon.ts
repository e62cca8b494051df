import type { Context } from "../../context.ts";
import { type Finding, finding } from "./check.ts";

/** What the daemon says of itself; undefined where none answers. */
export interface DaemonFacts {
  version: string;
  engineVersion: string | undefined;
  dataRoot: string;
  driver: string;
  isActive: boolean;
  swarmError: string;
  date: number | undefined;
  warnings: string[];
}

export async function askDaemon({ client }: Context): Promise<DaemonFacts | Error> {
  try {
    const ping = await client.stream("GET", "/_ping");
    ping.resume();
    type Info = {
      ServerVersion: string;
      DockerRootDir: string;
      Driver: string;
      Warnings: string[] | null;
      Swarm: { LocalNodeState: string; Error?: string };
    };
    const [info, version] = await Promise.all([
      client.get<Info>("/info"),
      client.get<{ Components?: { Name: string; Version: string }[] }>("/version"),
    ]);
    return {
      version: info.ServerVersion,
      engineVersion: version.Components?.find(({ Name }) => Name === "creel-engine")?.Version,
      dataRoot: info.DockerRootDir,
      driver: info.Driver,
      isActive: info.Swarm.LocalNodeState === "active",
      swarmError: info.Swarm.Error ?? "",
      date: Date.parse(ping.headers.date ?? "") || undefined,
      warnings: info.Warnings ?? [],
    };
  } catch (error) {
    return error as Error;
  }
}

/** The daemon, and that all parts are of one version. */
export function checkDaemon(facts: DaemonFacts | Error, own: string): Finding[] {
  const versions: Finding[] = [
    {
      area: "versions",
      name: "creel",
      status: "ok",
      found: `${own} on Node ${process.versions.node}`,
      means: "",
    },
  ];
  if (facts instanceof Error) {
    return [
      ...versions,
      {
        area: "daemon",
        name: "creeld",
        status: "poor",
        found: facts.message,
        means: "nothing runs until it does; start it, or name it with -H",
      },
    ];
  }
  versions.push(
    finding(
      "versions",
      "creeld",
      facts.version === own,
      facts.version,
      "poor",
      `this creel is ${own}: use those of one release`,
    ),
  );
  if (facts.engineVersion !== undefined)
    versions.push(
      finding(
        "versions",
        "creel-engine",
        facts.engineVersion === facts.version,
        facts.engineVersion,
        "poor",
        "restart creel-engine: it is not of creeld's release",
      ),
    );
  return [
    ...versions,
    {
      area: "daemon",
      name: "creeld",
      status: "ok",
      found: `answers, storage driver ${facts.driver}`,
      means: "",
    },
    finding(
      "daemon",
      "cluster",
      facts.swarmError === "",
      facts.isActive ? "active" : facts.swarmError || "not in a cluster",
      "poor",
      facts.swarmError,
    ),
    ...facts.warnings.map(
      (found): Finding => ({ area: "daemon", name: "warning", status: "poor", found, means: "" }),
    ),
  ];
}
