import { InvalidArgumentError } from "commander";

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
  hostIp: string;
  mode: string;
}

/** `[ip:][published:]target[/protocol]`, or the long form `published=80,target=8080,mode=host`. */
export function port(text: string): Port {
  const bad = () => new Error(`invalid port "${text}": [HOST_IP:][PUBLISHED:]TARGET[/PROTOCOL]`);
  if (text.includes("=")) {
    const fields = Object.fromEntries(text.split(",").map((each) => each.split("=") as [string, string]));
    const number = (word: string | undefined) => portNumber(word ?? "0", bad);
    return {
      protocol: fields.protocol ?? "tcp",
      target: number(fields.target),
      published: number(fields.published),
      hostIp: "",
      mode: fields.mode ?? "ingress",
    };
  }
  const [address, protocol = "tcp"] = text.split("/");
  const parts = address!.split(":");
  const target = portNumber(parts.pop()!, bad);
  const published = parts.length > 0 ? portNumber(parts.pop() || "0", bad) : 0;
  return { protocol, target, published, hostIp: parts.join(":"), mode: "ingress" };
}

function portNumber(text: string, bad: () => Error): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65535) throw bad();
  return value;
}

/** A share from 0 to 1. */
export function ratio(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 1) || text.trim() === "")
    throw new InvalidArgumentError("a number from 0 to 1 is needed");
  return value;
}
