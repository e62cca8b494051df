const UNITS: [number, string][] = [
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [7, "day"],
  [4.345, "week"],
  [12, "month"],
  [Number.POSITIVE_INFINITY, "year"],
];

/** A span of milliseconds in Docker's words: "About a minute", "3 hours". */
export function span(ms: number): string {
  let value = Math.max(0, ms / 1000);
  if (value < 1) return "Less than a second";
  for (const [size, unit] of UNITS) {
    if (value < size) {
      const whole = Math.floor(value);
      if (whole === 1 && unit === "minute") return "About a minute";
      if (whole === 1 && unit === "hour") return "About an hour";
      return `${whole} ${unit}${whole === 1 ? "" : "s"}`;
    }
    value /= size;
  }
  return "";
}

/** How long ago `time` (RFC 3339 or seconds since the epoch) was. */
export function ago(time: string | number, now = Date.now()): string {
  const at = typeof time === "number" ? time * 1000 : Date.parse(time);
  return `${span(now - at)} ago`;
}

/** Bytes in decimal units, as Docker's: "1.23MB". */
export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(3))}${units[unit]}`;
}

/** The first 12 digits of an id, without the digest's name. */
export function short(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

/** Bytes in binary units, as Docker's `info`: "7.653GiB". */
export function binary(size: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = size;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}

/** With a capital first letter. */
export function title(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** A number with its noun: "1 task", "3 tasks". */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
