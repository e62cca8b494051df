import type { Source } from "./files.ts";

const PURE = ["manager/src/store/", "manager/src/loops/", "manager/src/scheduler/"];
const BANNED: [RegExp, string][] = [
  [/\bDate\b(?!\.UTC)/, "a clock (Date)"],
  [/\bperformance\.now\b/, "a clock (performance.now)"],
  [/\bMath\.random\b/, "chance (Math.random)"],
  [/\b(randomBytes|randomUUID|getRandomValues|randomFillSync)\b/, "chance"],
  [/from "node:(?!assert|util)/, "the outside (node: modules)"],
  [/\bawait\b|\basync\b/, "waiting (async)"],
  [/\bset(Timeout|Interval|Immediate)\b/, "timers"],
  [/\bprocess\./, "the process"],
];

/** The state machine and what decides is pure: time, chance and ids come in with the action. */
export function checkPurity(files: Source[]): string[] {
  const complaints: string[] = [];
  for (const { path, lines } of files) {
    if (!PURE.some((folder) => path.startsWith(folder))) continue;
    for (const [i, line] of lines.entries()) {
      const code = line.replace(/\/\/.*$|^\s*\*.*$|\/\*.*?\*\//g, "").replace(/"[^"]*"(?!;?$)/g, '""');
      for (const [pattern, what] of BANNED) {
        if (pattern.test(code)) complaints.push(`${path}:${i + 1}: uses ${what}; the state machine has none`);
      }
    }
  }
  return complaints;
}
