import type { IncomingMessage } from "node:http";
import { CreelError } from "@creel/shared";

/** The newest version of the Docker Engine API that is served. */
export const MAX_VERSION = "1.51";
/** The oldest one. */
export const MIN_VERSION = "1.24";

const versions = new WeakMap<IncomingMessage, string>();
const PREFIX = /^\/v(\d+(?:\.\d+)+)(?=\/|\?|$)/;

/** Takes the version prefix off the URL and keeps it for {@link versionOf}. */
export function stripVersion(request: IncomingMessage): string {
  const url = request.url ?? "/";
  const match = PREFIX.exec(url);
  if (!match) return url;
  versions.set(request, match[1]!);
  const rest = url.slice(match[0].length);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** The version that the request names, or the newest when it names none. */
export function versionOf(request: IncomingMessage): string {
  return versions.get(request) ?? MAX_VERSION;
}

/** Whether version `a` comes before `b`. */
export function isBefore(a: string, b: string): boolean {
  const [x, y] = [a.split(".").map(Number), b.split(".").map(Number)];
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Rejects a version that is not served, in Docker's words. */
export function checkVersion(version: string): void {
  if (isBefore(version, MIN_VERSION)) throw new CreelError("version_too_old", { version, min: MIN_VERSION });
  if (isBefore(MAX_VERSION, version)) throw new CreelError("version_too_new", { version, max: MAX_VERSION });
}
