import { Command } from "commander";
import type { Context } from "./context.ts";
import { type Entry, type Group, groups, shortcuts } from "./table.ts";

/** What is still to be done to commands that were not used so far. */
const pending = new WeakMap<Command, () => Promise<void> | void>();

/** Gives a command's action the context of the daemon that the options before it name. */
export type Bind = <A extends unknown[]>(
  action: (context: Context, ...args: A) => Promise<void> | void,
) => (...args: A) => Promise<void>;

/** What a command's file exports for each of its commands: arguments, options, examples and action. */
export type Describe = (command: Command, bind: Bind) => void;

/** The options that stand before the command: which daemon is meant. */
export interface Global {
  host?: string;
  context?: string;
  tls?: boolean;
  tlsverify?: boolean;
  tlscacert?: string;
  tlscert?: string;
  tlskey?: string;
}

/**
 * The whole command line, in Docker's grammar. A command's file is read when it is used, or its help asked for.
 * Errors come as exceptions; nothing here ends the process.
 */
export function makeProgram(): Command {
  const program = new Command("creel")
    .description("run containers and services, on this machine or a cluster")
    .option("-H, --host <address>", "the daemon: unix://PATH or tcp://HOST:PORT")
    .option("-c, --context <name>", "the context that names the daemon (see creel context)")
    .option("--tls", "use TLS, and take any certificate of the daemon's")
    .option("--tlsverify", "use TLS, and verify the daemon's certificate")
    .option("--tlscacert <file>", "the CA that signed the daemon's certificate")
    .option("--tlscert <file>", "this client's certificate")
    .option("--tlskey <file>", "its key")
    .version("Creel version 0.1.0", "-v, --version")
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .exitOverride()
    .hook("preSubcommand", async (_, child) => void (await complete(child)))
    .helpCommand(false)
    .addHelpText("after", "\nMore on a command: creel COMMAND --help");
  const bind: Bind =
    (action) =>
    async (...args) => {
      const { makeContext } = await import("./context.ts");
      await action(makeContext(program.opts<Global>(), program), ...args);
    };
  for (const entry of shortcuts) addLeaf(program, entry, bind).helpGroup("Commands:");
  addHelp(program);
  for (const group of groups) addGroup(program, group, bind).helpGroup("Management commands:");
  return program;
}

function addGroup(parent: Command, { name, summary, commands }: Group, bind: Bind): Command {
  const group = settled(parent.command(name).description(summary));
  group.usage("COMMAND").enablePositionalOptions().helpCommand(false);
  pending.set(group, () => {
    for (const each of commands) {
      if ("load" in each) addLeaf(group, each, bind);
      else addGroup(group, each, bind);
    }
  });
  return group;
}

function addLeaf(parent: Command, entry: Entry, bind: Bind): Command {
  const command = settled(
    parent.command(entry.name, { hidden: entry.hidden ?? false }).summary(entry.summary),
  );
  command.description(entry.summary);
  if (entry.alias !== undefined) command.alias(entry.alias);
  pending.set(command, async () => {
    (await entry.load())(command, bind);
    // commander does this itself, but before it calls the hook that brought us here
    for (const option of command.options)
      if (
        option.negate &&
        !command.options.some((other) => other.long === option.long!.replace("--no-", "--"))
      )
        command.setOptionValueWithSource(option.attributeName(), true, "default");
  });
  return command;
}

/** `creel help service scale`: commander's own goes one word deep. */
function addHelp(program: Command): void {
  settled(program.command("help").summary("show what a command does"))
    .description("show what a command does")
    .helpGroup("Commands:")
    .argument("[command...]")
    .action(async (words: string[]) => {
      let command = program;
      for (const word of words) {
        const child = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
        if (child === undefined) return command.error(`error: unknown command '${word}'`);
        command = await complete(child);
      }
      command.outputHelp();
    })
    .addHelpText("after", "\nExamples:\n  creel help service scale");
}

/** Makes a group's commands, or reads a command's file, when that has not been done. */
export async function complete(command: Command): Promise<Command> {
  const work = pending.get(command);
  pending.delete(command);
  await work?.();
  return command;
}

function settled(command: Command): Command {
  return command
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError(`see '${fullName(command)} --help'`)
    .hook("preSubcommand", async (_, child) => void (await complete(child)));
}

/** A command with those it belongs to: `creel service ls`. */
export function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name();
}
