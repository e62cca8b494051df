import { type Command, InvalidArgumentError, Option } from "commander";

/** Lets switches be written with a value, too, as in docker's grammar: `--detach=false`. */
export function switches(command: Command, ...names: string[]): Command {
  for (const name of names)
    for (const value of [true, false]) {
      const written = `${name}=${value}`;
      command.addOption(new Option(`--${written}`).hideHelp());
      command.on(`option:${written}`, () => command.setOptionValue(name, value));
    }
  return command;
}

/** Collects an option that may be given several times. */
export function list(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** A whole number that is not negative. */
export function whole(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError("a whole number is needed");
  return value;
}

/** Bytes with an optional unit: 512m, 1g. */
export function size(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text.trim());
  if (match === null) throw new InvalidArgumentError("bytes with an optional unit are needed (512m, 1g)");
  const power = { "": 0, k: 1, m: 2, g: 3, t: 4 }[match[2]!.toLowerCase()]!;
  return Math.round(Number(match[1]) * 1024 ** power);
}

/** Cores as billionths: 1.5 is 1500000000. */
export function cpus(text: string): number {
  const value = Number(text);
  if (!(value >= 0) || text.trim() === "")
    throw new InvalidArgumentError("a number of cores is needed (0.5)");
  return Math.round(value * 1e9);
}

/** A duration as Go writes it (1m30s, 500ms) in nanoseconds. */
export function duration(text: string): number {
  const units: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
  let total = 0;
  let rest = text;
  while (rest !== "") {
    const match = /^(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/.exec(rest);
    if (match === null) throw new InvalidArgumentError("a duration is needed (500ms, 1m30s)");
    total += Number(match[1]) * units[match[2]!]!;
    rest = rest.slice(match[0].length);
  }
  return Math.round(total);
}

/** One published port. */
export interface Port {
  protocol: string;
  target: number;
  published: number;
  /** The last of those of which a free one is taken. */
  publishedEnd?: number;
  hostIp: string;
  mode: string;
}

/** Collects `--publish`, which may name a range of ports, and may be given several times. */
export function publish(text: string, before: Port[] | undefined): Port[] {
  return [...(before ?? []), ...ports(text)];
}

/** `[ip:][published:]target[/protocol]`, where a port may be a range, or `published=80,target=8080,mode=host`. */
export function ports(text: string): Port[] {
  const bad = () =>
    new InvalidArgumentError(
      "[HOST_IP:][PUBLISHED:]TARGET[/PROTOCOL] or published=N,target=N[,protocol=…][,mode=…]",
    );
  if (text.includes("=")) return [longForm(text, bad)];
  const [address = "", protocol = "tcp"] = text.split("/");
  if (!["tcp", "udp", "sctp"].includes(protocol)) throw bad();
  const parts = address.split(":");
  const targets = range(parts.pop()!, bad);
  const published = parts.length > 0 ? range(parts.pop() || "0", bad) : [0];
  const hostIp = parts.join(":").replace(/^\[|\]$/g, "");
  if (published.length > 1 && targets.length === 1) {
    const [target, first, last] = [targets[0]!, published[0]!, published.at(-1)!];
    return [{ protocol, target, published: first, publishedEnd: last, hostIp, mode: "ingress" }];
  }
  if (published.length !== targets.length && published[0] !== 0)
    throw new InvalidArgumentError("both ranges must be of the same length");
  return targets.map((target, i) => ({
    protocol,
    target,
    published: published[i] ?? 0,
    hostIp,
    mode: "ingress",
  }));
}

function longForm(text: string, bad: () => Error): Port {
  const fields: Record<string, string | undefined> = Object.fromEntries(
    text.split(",").map((field) => field.split("=") as [string, string]),
  );
  const known = ["protocol", "target", "published", "mode"];
  if (Object.keys(fields).some((key) => !known.includes(key)) || fields.target === undefined) throw bad();
  return {
    protocol: fields.protocol ?? "tcp",
    target: portNumber(fields.target, bad),
    published: portNumber(fields.published ?? "0", bad),
    hostIp: "",
    mode: fields.mode ?? "ingress",
  };
}

/** Collects `--expose`: `PORT[-PORT][/PROTOCOL]`, as single ports with their protocol. */
export function expose(text: string, before: string[] | undefined): string[] {
  const [numbers = "", protocol = "tcp"] = text.split("/");
  const bad = () => new InvalidArgumentError("PORT[-PORT][/PROTOCOL]");
  return [...(before ?? []), ...range(numbers, bad).map((port) => `${port}/${protocol}`)];
}

function range(text: string, bad: () => Error): number[] {
  const [first = "", last = first, ...more] = text.split("-");
  const [from, to] = [portNumber(first, bad), portNumber(last, bad)];
  if (more.length > 0 || to < from) throw bad();
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function portNumber(text: string, bad: () => Error): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65535) throw bad();
  return value;
}

/** A whole number, which may be negative. */
export function integer(text: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError("a whole number is needed");
  return value;
}

/** Bytes, or -1 for no limit. */
export function sizeOrNone(text: string): number {
  return text === "-1" ? -1 : size(text);
}

/** A share from 0 to 1. */
export function ratio(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 1) || text.trim() === "")
    throw new InvalidArgumentError("a number from 0 to 1 is needed");
  return value;
}
