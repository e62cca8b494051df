import { Command, InvalidArgumentError } from "commander";
import { Lab } from "./lab.ts";
import { isUp } from "./state.ts";

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 200)
    throw new InvalidArgumentError("a number from 1 to 200");
  return value;
}

const program = new Command("tools/lab")
  .enablePositionalOptions()
  .description("hosts out of namespaces, each with a real creeld and creel-engine");
const withDir = (name: string, description: string) =>
  program.command(name).description(description).requiredOption("--dir <dir>", "the lab's folder");

withDir("up", "make a lab and form a cluster of it")
  .option("--nodes <n>", "hosts", count, 3)
  .option("--managers <n>", "how many of them are managers", count)
  .option(
    "--join [bool]",
    "form one cluster (--join=false: leave the hosts alone)",
    (text) => text !== "false",
    true,
  )
  .option("--flag <flag...>", "more flags for each creeld")
  .action(async (o: { dir: string; nodes: number; managers?: number; join: boolean; flag?: string[] }) => {
    const managers = o.managers ?? Math.min(3, o.nodes);
    const lab = await Lab.up({
      dir: o.dir,
      nodes: o.nodes,
      managers,
      join: o.join,
      flags: o.flag ?? [],
      progress: console.log,
    });
    console.log(`docker -H unix://${lab.socket("node1")} info`);
  });
withDir("ls", "list the hosts").action((o: { dir: string }) => {
  for (const node of Lab.open(o.dir).nodes)
    console.log(`${node.name}\t${node.address}\t${isUp(node) ? "up" : "down"}`);
});
withDir("exec", "run a command on a host")
  .argument("<node>")
  .argument("<command...>")
  .passThroughOptions()
  .action((node: string, command: string[], o: { dir: string }) => {
    const words = command[0] === "--" ? command.slice(1) : command;
    process.exitCode = Lab.open(o.dir).execHere(node, words);
  });
const actions = {
  kill: ["lose a host: all of its processes end at once", (lab: Lab, node: string) => lab.kill(node)],
  restart: ["start a host again", (lab: Lab, node: string) => lab.restart(node)],
  cut: ["take a host off the network", (lab: Lab, node: string) => lab.cut(node)],
  heal: ["put a host back on the network", (lab: Lab, node: string) => lab.heal(node)],
} as const;
for (const [name, [description, act]] of Object.entries(actions)) {
  withDir(name, description)
    .argument("<node>")
    .action(async (node: string, o: { dir: string }) => act(Lab.open(o.dir), node));
}
withDir("down", "end the lab and leave nothing behind").action((o: { dir: string }) =>
  Lab.open(o.dir).down(),
);

program.enablePositionalOptions();
try {
  await program.parseAsync();
} catch (error) {
  console.error(`tools/lab: ${(error as Error).message}`);
  process.exitCode = 1;
}
