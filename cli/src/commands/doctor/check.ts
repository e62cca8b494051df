/** What came out of one look at the machine. `missing`: needed, and not there; `poor`: works, but not as it should. */
export interface Finding {
  area: "kernel" | "cgroups" | "ports" | "disk" | "clock" | "versions" | "daemon";
  name: string;
  status: "ok" | "poor" | "missing" | "unknown";
  found: string;
  /** What that means, and what to do; empty where all is well. */
  means: string;
}

/** A finding that is well, or not with what that means. */
export function finding(
  area: Finding["area"],
  name: string,
  isWell: boolean,
  found: string,
  status: "poor" | "missing",
  means: string,
): Finding {
  return isWell ? { area, name, status: "ok", found, means: "" } : { area, name, status, found, means };
}
