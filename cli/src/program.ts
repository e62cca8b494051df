import { Command } from "commander";
import { containerCommands, containerShortcuts } from "./commands/container.ts";
import { imageCommands, imageShortcuts } from "./commands/image.ts";
import { networkCommands } from "./commands/network.ts";
import { nodeCommands } from "./commands/node.ts";
import { serviceCommands } from "./commands/service.ts";
import { swarmCommands } from "./commands/swarm.ts";
import { systemCommands } from "./commands/system.ts";
import { type Context, makeContext } from "./context.ts";

/** Gives a command's action the context of the daemon that `-H` names. */
export type Bind = <A extends unknown[]>(
  action: (context: Context, ...args: A) => Promise<void>,
) => (...args: A) => Promise<void>;

/** The whole command line, in Docker's grammar. Errors come as exceptions; nothing here ends the process. */
export function makeProgram(): Command {
  const program = new Command("creel")
    .description("run containers and services, on this machine or a cluster")
    .option(
      "-H, --host <address>",
      "the daemon: unix://PATH or tcp://HOST:PORT (default: DOCKER_HOST, else this machine's)",
    )
    .version("Creel 0.1.0", "-v, --version")
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .exitOverride();
  const bind: Bind =
    (action) =>
    (...args) =>
      action(makeContext(program.opts<{ host?: string }>().host), ...args);
  for (const add of [
    containerCommands,
    imageCommands,
    networkCommands,
    nodeCommands,
    serviceCommands,
    swarmCommands,
  ])
    add(program, bind);
  for (const add of [containerShortcuts, imageShortcuts, systemCommands]) add(program, bind);
  inheritOverride(program);
  return program;
}

function inheritOverride(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride().showHelpAfterError(`see '${fullName(child)} --help'`);
    inheritOverride(child);
  }
}

function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name();
}
