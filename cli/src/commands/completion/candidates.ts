import type { Command, Option } from "commander";
import { type Context, makeContext } from "../../context.ts";
import { type Bind, complete, type Global } from "../../program.ts";
import { namesFor } from "./names.ts";

/** A word that may come next, and what it is. */
export type Candidate = [word: string, text: string];

/** `creel __complete -- WORD...`: the last word is the one being written. */
export function candidates(command: Command, bind: Bind): void {
  command
    .argument("[word...]")
    .passThroughOptions()
    .helpOption(false)
    .action(
      bind(async (context: Context, words: string[]) => {
        for (const [word, text] of await candidatesFor(context, words))
          context.print(text ? `${word}\t${text}` : word);
      }),
    );
}

/** What may come in the place of the last word; nothing where a file name may. */
export async function candidatesFor(context: Context, words: string[]): Promise<Candidate[]> {
  const done = words.slice(0, -1);
  const current = words.at(-1) ?? "";
  const place = await follow(context.program, done);
  const starting = (all: Candidate[]) => all.filter(([word]) => word.startsWith(current));
  if (place.value !== undefined) return starting(await valuesOf(context, place, place.value));
  if (current.startsWith("-") && !place.literal) return starting(optionsOf(place.command));
  const children = place.command.commands.filter((child) => !hidden(child));
  if (children.length > 0 && place.args === 0)
    return starting(children.map((child) => [child.name(), child.summary() || child.description()]));
  const argument = place.command.registeredArguments[place.args] ?? place.command.registeredArguments.at(-1);
  if (
    argument === undefined ||
    (place.args >= place.command.registeredArguments.length && !argument.variadic)
  )
    return [];
  if (argument.argChoices) return starting(argument.argChoices.map((choice) => [choice, ""]));
  return starting(await namesFor(makeContext(place.global, context.program), argument.name(), place.command));
}

interface Place {
  command: Command;
  global: Global;
  /** How many arguments stand before. */
  args: number;
  /** The option whose value is being written. */
  value?: Option;
  /** After `--`: no more options. */
  literal: boolean;
}

/** Goes through the words before, as the parser would. */
async function follow(program: Command, words: string[]): Promise<Place> {
  const place: Place = { command: program, global: {}, args: 0, literal: false };
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--" && !place.literal) {
      place.literal = true;
    } else if (word.startsWith("-") && word !== "-" && !place.literal) {
      const option = findOption(place.command, word);
      if (option === undefined || !option.required || word.includes("=")) continue;
      if (i + 1 === words.length) place.value = option;
      else if (place.command === program)
        Object.assign(place.global, { [option.attributeName()]: words[i + 1] });
      i++;
    } else {
      const child = place.args === 0 ? findChild(place.command, word) : undefined;
      if (child !== undefined) place.command = await complete(child);
      else place.args++;
    }
  }
  return place;
}

function findChild(command: Command, word: string): Command | undefined {
  return command.commands.find((child) => child.name() === word || child.aliases().includes(word));
}

function findOption(command: Command, word: string): Option | undefined {
  const flag = word.split("=")[0]!;
  return command.options.find(
    (option) =>
      option.long === flag ||
      option.short === flag ||
      (!word.startsWith("--") && option.short === `-${word.at(-1)}`),
  );
}

function optionsOf(command: Command): Candidate[] {
  const found = command.options.flatMap((option): Candidate[] =>
    option.hidden ? [] : [[option.long ?? option.short!, option.description]],
  );
  return [...found, ["--help", "display help for command"]];
}

async function valuesOf(context: Context, place: Place, option: Option): Promise<Candidate[]> {
  if (option.argChoices) return option.argChoices.map((choice) => [choice, ""]);
  return await namesFor(makeContext(place.global, context.program), option.name(), place.command);
}

function hidden(command: Command): boolean {
  return (command as unknown as { _hidden?: boolean })._hidden === true;
}
