import type { Command } from "commander";
import type { Context } from "../context.ts";
import { invalid } from "../invalid.ts";
import { type InspectOptions, inspectEach, inspectOptions } from "../output/inspect.ts";
import type { Bind } from "../program.ts";
import { examples } from "./words.ts";

const KINDS: Record<string, string> = {
  container: "/containers/{}/json",
  image: "/images/{}/json",
  volume: "/volumes/{}",
  network: "/networks/{}",
  node: "/nodes/{}",
  service: "/services/{}",
  secret: "/secrets/{}",
  config: "/configs/{}",
  task: "/tasks/{}",
};

/** `creel inspect`: whatever has that name. */
export function inspect(command: Command, bind: Bind): void {
  inspectOptions(command.argument("<name...>"))
    .option("--type <kind>", `only ${Object.keys(KINDS).join(", ")}`)
    .option("-s, --size", "with sizes, of containers")
    .action(
      bind(
        async (context: Context, names: string[], o: InspectOptions & { type?: string; size?: boolean }) => {
          if (o.type !== undefined && KINDS[o.type] === undefined)
            throw invalid(`"${o.type}" is not a valid value for --type: ${Object.keys(KINDS).join(", ")}`);
          const kinds = o.type === undefined ? Object.values(KINDS) : [KINDS[o.type]!];
          await inspectEach(context, names, o, (name) => firstOf(context, name, kinds, o.size));
        },
      ),
    );
  examples(command, "creel inspect web", "creel inspect --type service -f '{{json .Spec.Mode}}' web");
}

async function firstOf(
  { client }: Context,
  name: string,
  kinds: string[],
  size: boolean | undefined,
): Promise<unknown> {
  const encoded = encodeURIComponent(name);
  for (const kind of kinds) {
    const path = kind.replace("{}", kind.startsWith("/images/") ? encoded.replaceAll("%2F", "/") : encoded);
    try {
      return await client.get(path, { size: kind.startsWith("/containers/") ? size : undefined });
    } catch (error) {
      // 503: not a manager, so there are no services, nodes and tasks here
      const status = (error as { status?: number }).status;
      if (status !== 404 && status !== 503) throw error;
    }
  }
  throw invalid(`No such object: ${name}`);
}
