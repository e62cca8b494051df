import type { Platform } from "@creel/shared/gen/cluster/v1/objects.ts";

const SAME: Record<string, string> = { x86_64: "amd64", aarch64: "arm64", "x86-64": "amd64", armv7l: "arm" };

/** The one name of an architecture that goes by several. */
export function architectureOf(name: string): string {
  const low = name.toLowerCase();
  return SAME[low] ?? low;
}

/** Whether one of the platforms (all, if none is named) is the node's. An empty part fits any. */
export function fitsPlatform(platforms: Platform[], node: Platform | undefined): boolean {
  if (platforms.length === 0) return true;
  return platforms.some(
    (p) =>
      (p.os === "" || p.os.toLowerCase() === node?.os.toLowerCase()) &&
      (p.architecture === "" || architectureOf(p.architecture) === architectureOf(node?.architecture ?? "")),
  );
}
