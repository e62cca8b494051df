import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { Exit } from "../../error.ts";
import { type InspectOptions, inspectEach, inspectOptions } from "../../output/inspect.ts";
import type { Bind } from "../../program.ts";
import { at, examples } from "../words.ts";

export function inspect(command: Command, bind: Bind): void {
  inspectOptions(command.argument("<container...>"))
    .option("-s, --size", "with sizes")
    .action(
      bind((context: Context, names: string[], o: InspectOptions & { size?: boolean }) =>
        inspectEach(context, names, o, (name) =>
          context.client.get(at("containers", name, "json"), { size: o.size }),
        ),
      ),
    );
  examples(
    command,
    "creel container inspect web",
    "creel container inspect -f '{{.State.Pid}}' web",
    "creel container inspect -f '{{range $name, $net := .NetworkSettings.Networks}}{{$name}} {{$net.IPAddress}}{{end}}' web",
  );
}

interface Bindings {
  NetworkSettings: { Ports: Record<string, { HostIp: string; HostPort: string }[] | null> | null };
}

/** `creel port` */
export function port(command: Command, bind: Bind): void {
  command
    .argument("<container>")
    .argument("[port]", "only this one: PORT[/PROTOCOL]")
    .action(
      bind(async ({ client, print, warn }: Context, name: string, wanted: string | undefined) => {
        const { NetworkSettings } = await client.get<Bindings>(at("containers", name, "json"));
        const key = wanted === undefined || wanted.includes("/") ? wanted : `${wanted}/tcp`;
        let shown = 0;
        for (const [inside, bound] of Object.entries(NetworkSettings.Ports ?? {})) {
          if (key !== undefined && key !== inside) continue;
          for (const { HostIp, HostPort } of bound ?? []) {
            shown++;
            const address = `${HostIp.includes(":") ? `[${HostIp}]` : HostIp || "0.0.0.0"}:${HostPort}`;
            print(key === undefined ? `${inside} -> ${address}` : address);
          }
        }
        if (key !== undefined && shown === 0) {
          warn(`Error: No public port '${key}' published for ${name}`);
          throw new Exit(1);
        }
      }),
    );
  examples(command, "creel port web", "creel port web 80/tcp");
}
