import type { Command } from "commander";
import { type Context, each } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import type { Bind } from "../../program.ts";
import { cpus, integer, size, sizeOrNone, whole } from "../options.ts";
import { at, examples } from "../words.ts";
import { restartPolicy } from "./create-body.ts";

interface UpdateOptions {
  blkioWeight?: number;
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuShares?: number;
  cpus?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  memory?: number;
  memoryReservation?: number;
  memorySwap?: number;
  pidsLimit?: number;
  restart?: string;
}

/** `creel update` */
export function update(command: Command, bind: Bind): void {
  command
    .argument("<container...>")
    .option("--blkio-weight <n>", "its weight for block devices, 10 to 1000", whole)
    .option("--cpu-period <µs>", "the span that --cpu-quota is of", whole)
    .option("--cpu-quota <µs>", "so much of it; -1 ends the limit", integer)
    .option("-c, --cpu-shares <n>", "its weight against others", whole)
    .option("--cpus <cores>", "at most so many cores", cpus)
    .option("--cpuset-cpus <cpus>", "only on these (0-3,5)")
    .option("--cpuset-mems <nodes>", "only memory of these nodes (0-1)")
    .option("-m, --memory <bytes>", "at most so much memory", size)
    .option("--memory-reservation <bytes>", "what it keeps when memory is short", size)
    .option(
      "--memory-swap <bytes>",
      "at most so much memory and swap together; -1 ends the limit",
      sizeOrNone,
    )
    .option("--pids-limit <n>", "at most so many processes; -1 ends the limit", integer)
    .option("--restart <policy>", "no, on-failure[:N], always, unless-stopped")
    .action(
      bind(async (context: Context, names: string[], o: UpdateOptions) => {
        if (Object.keys(o).length === 0)
          throw invalid("you must provide one or more flags when using this command");
        await each(context, names, async (name) => {
          const path = at("containers", name, "update");
          const { Warnings } = await context.client.post<{ Warnings: string[] | null }>(
            path,
            undefined,
            body(o),
          );
          for (const warning of Warnings ?? []) context.warn(`WARNING: ${warning}`);
          return name;
        });
      }),
    );
  examples(
    command,
    "creel update -m 512m --memory-swap 1g web",
    "creel update --restart unless-stopped web db",
  );
}

function body(o: UpdateOptions): object {
  return {
    BlkioWeight: o.blkioWeight,
    CpuPeriod: o.cpuPeriod,
    CpuQuota: o.cpuQuota,
    CpuShares: o.cpuShares,
    NanoCpus: o.cpus,
    CpusetCpus: o.cpusetCpus,
    CpusetMems: o.cpusetMems,
    Memory: o.memory,
    MemoryReservation: o.memoryReservation,
    MemorySwap: o.memorySwap,
    PidsLimit: o.pidsLimit,
    ...(o.restart !== undefined && { RestartPolicy: restartPolicy(o.restart) }),
  };
}
