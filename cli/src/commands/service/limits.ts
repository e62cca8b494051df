import { InvalidArgumentError } from "commander";

/** A limit of a process as the API takes it. */
export interface Ulimit {
  Name: string;
  Soft: number;
  Hard: number;
}

/** Collects `--ulimit NAME=SOFT[:HARD]`; -1 is no limit. */
export function ulimit(text: string, before: Ulimit[] | undefined): Ulimit[] {
  const [, name, soft, hard = soft] = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("NAME=SOFT[:HARD] is needed (nofile=1024:2048)");
  const limit = { Name: name, Soft: Number(soft), Hard: Number(hard) };
  if (limit.Hard !== -1 && (limit.Soft === -1 || limit.Soft > limit.Hard))
    throw new InvalidArgumentError(
      `the soft limit ${limit.Soft} must not be above the hard limit ${limit.Hard}`,
    );
  return [...(before ?? []), limit];
}

/** From -1000 to 1000. */
export function score(text: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || Math.abs(value) > 1000)
    throw new InvalidArgumentError("a whole number from -1000 to 1000 is needed");
  return value;
}
