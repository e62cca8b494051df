import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { one } from "../../output/listing.ts";
import type { Bind } from "../../program.ts";
import { examples } from "../words.ts";

interface Server {
  Version: string;
  ApiVersion: string;
  MinAPIVersion: string;
  Os: string;
  Arch: string;
  KernelVersion: string;
  GitCommit: string;
}
const CLIENT = {
  Platform: { Name: "Creel" },
  Version: "0.1.0",
  ApiVersion: "1.51",
  DefaultAPIVersion: "1.51",
  Os: process.platform,
  Arch: process.arch === "x64" ? "amd64" : process.arch,
  NodeVersion: process.versions.node,
};

/** `creel version`: the client's part also where no daemon answers. */
export function version(command: Command, bind: Bind): void {
  command.option("-f, --format <format>", "json, or a Go template").action(
    bind(async ({ client, global, print }: Context, o: { format?: string }) => {
      const { contextName } = await import("../../rest/host.ts");
      const own = { ...CLIENT, Context: contextName(global) };
      if (o.format !== undefined) {
        const server = await client.get<Server>("/version");
        return print(await one({ Client: own, Server: server }, o.format));
      }
      print(
        section("Client", [
          ["Version", own.Version],
          ["API version", own.ApiVersion],
          ["Node version", own.NodeVersion],
          ["OS/Arch", `${own.Os}/${own.Arch}`],
          ["Context", own.Context],
        ]),
      );
      const it = await client.get<Server>("/version");
      print(
        `\n${section("Server", [
          ["Version", it.Version],
          ["API version", `${it.ApiVersion} (minimum version ${it.MinAPIVersion})`],
          ["Git commit", it.GitCommit],
          ["OS/Arch", `${it.Os}/${it.Arch}`],
          ["Kernel version", it.KernelVersion],
        ])}`,
      );
    }),
  );
  examples(command, "creel version", "creel version -f '{{.Server.Version}}'");
}

function section(name: string, rows: [string, string][]): string {
  return [
    `${name}:`,
    ...rows.filter(([, value]) => value).map(([key, value]) => ` ${`${key}:`.padEnd(17)} ${value}`),
  ].join("\n");
}
