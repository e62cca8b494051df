import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type Finding, finding } from "./check.ts";

const KEEPERS = new Set(["chronyd", "ntpd", "systemd-timesyn", "openntpd", "ptp4l", "phc2sys"]);
/** Certificates of nodes are valid from an hour before they are made: that much may clocks differ. */
const TOLERANCE_MS = 60 * 60_000;

/** Whether something keeps the clock, and whether it agrees with the daemon's. `daemonDate`: of an answer it gave. */
export function checkClock(daemonDate: number | undefined, now = Date.now()): Finding[] {
  const keeper = keeperName();
  const found: Finding[] = [
    finding(
      "clock",
      "kept in time",
      keeper !== undefined,
      keeper ?? "by nothing that is known",
      "poor",
      "certificates and tokens depend on clocks that agree: run chrony or systemd-timesyncd",
    ),
    finding(
      "clock",
      "date",
      now > Date.UTC(2025, 0, 1),
      new Date(now).toISOString(),
      "missing",
      "set the clock: certificates would not be valid",
    ),
  ];
  if (daemonDate !== undefined) {
    const off = Math.abs(now - daemonDate);
    found.push(
      finding(
        "clock",
        "daemon's clock",
        off < TOLERANCE_MS,
        off < 2000 ? "agrees" : `${Math.round(off / 1000)} s off`,
        "missing",
        "nodes whose clocks differ do not accept each other's certificates",
      ),
    );
  }
  return found;
}

function keeperName(): string | undefined {
  if (existsSync("/run/systemd/timesync/synchronized")) return "systemd-timesyncd";
  if (existsSync("/sys/class/ptp/ptp0") && existsSync("/dev/ptp_kvm")) return "the hypervisor's clock";
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const name = readFileSync(`/proc/${pid}/comm`, "utf8").trim();
      if (KEEPERS.has(name)) return name;
    } catch {
      // it has ended
    }
  }
  return undefined;
}
