import { CreelError } from "@creel/shared";

/** Go's zero time, which Docker gives for "never". */
export const NEVER = "0001-01-01T00:00:00Z";
/** Where 0 is a time like others. */
export const EPOCH = "1970-01-01T00:00:00Z";

/** RFC 3339 with nanoseconds, trailing zeros cut as Go does; `never` for 0. */
export function fromNanos(nanos: string, never: string = NEVER): string {
  if (nanos === "" || nanos === "0") return never;
  const value = BigInt(nanos);
  const seconds = value / 1_000_000_000n;
  const rest = (value % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return rest === "" ? `${whole}Z` : `${whole}.${rest}Z`;
}

/** The same for milliseconds. */
export function fromMillis(millis: number): string {
  return millis === 0 ? NEVER : new Date(millis).toISOString();
}

/** Whole seconds since the epoch. */
export function nanosToSeconds(nanos: string): number {
  return nanos === "" ? 0 : Number(BigInt(nanos) / 1_000_000_000n);
}

/** Nanoseconds since the epoch of a point that a client names: seconds with a fraction, or RFC 3339; "0" for "". */
export function parsePoint(name: string, value: string): string {
  if (value === "" || value === "0") return "0";
  const seconds = /^(-?\d{1,12})(?:\.(\d{1,9}))?$/.exec(value);
  if (seconds)
    return (BigInt(seconds[1]!) * 1_000_000_000n + BigInt((seconds[2] ?? "").padEnd(9, "0"))).toString();
  const millis = Date.parse(value);
  if (Number.isNaN(millis)) {
    throw new CreelError("invalid_parameter", {
      message: `invalid value for "${name}": "${value}" is no point in time`,
    });
  }
  const fraction = /\.(\d{1,9})/.exec(value)?.[1] ?? "";
  return (BigInt(Math.floor(millis / 1000)) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"))).toString();
}
