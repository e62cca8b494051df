import { posix } from "node:path";
import { invalid } from "../../../invalid.ts";
import type { Client } from "../../../rest/client.ts";
import { at } from "../../words.ts";

/** Where something is: in a container, or here. A path in a container is absolute. */
export interface Place {
  container?: string;
  path: string;
}

/** `CONTAINER:PATH`, or a path here: one that begins with a slash or a dot, or has no colon. */
export function place(text: string): Place {
  const colon = text.indexOf(":");
  if (text === "-" || colon < 0 || /^[./]/.test(text)) {
    if (text === "") throw invalid("a path must not be empty");
    return { path: text };
  }
  const [container, path] = [text.slice(0, colon), text.slice(colon + 1)];
  if (container === "" || path === "") throw invalid(`invalid place ${text}: CONTAINER:PATH, neither empty`);
  return { container, path: absolute(path) };
}

/** Whether a path means what is in a folder, and not the folder: `dir/.` */
export function isContent(path: string): boolean {
  return path === "." || path.endsWith("/.");
}

/** What is at a place in a container. */
export interface Stat {
  folder: boolean;
  /** Where a symbolic link leads, absolute; undefined if it is none. */
  link?: string;
}

const FOLDER = 2 ** 31;
const LINK = 2 ** 27;

export async function statIn(client: Client, { container, path }: Place): Promise<Stat> {
  const answer = await client
    .stream("HEAD", at("containers", container!, "archive"), { path })
    .catch((error) => {
      // an answer to HEAD has no body that would say so
      if (error.status === 404) error.message = `Could not find the file ${path} in container ${container}`;
      throw error;
    });
  answer.resume();
  const header = String(answer.headers["x-docker-container-path-stat"] ?? "");
  const { mode, linkTarget } = JSON.parse(Buffer.from(header, "base64").toString()) as {
    mode: number;
    linkTarget: string;
  };
  const has = (bit: number) => Math.floor(mode / bit) % 2 === 1;
  return {
    folder: has(FOLDER),
    ...(has(LINK) && { link: absolute(posix.resolve(posix.dirname(path), linkTarget)) }),
  };
}

/** The place that a path leads to if it is a link; else the path. */
export async function resolved(client: Client, from: Place): Promise<string> {
  const stat = await statIn(client, from).catch((error: { status?: number }) => {
    if (error.status !== 404) throw error;
    return undefined;
  });
  return stat?.link ?? from.path;
}

/** A path below a container's root, with the slash or dot at its end. */
function absolute(path: string): string {
  const end = isContent(path) ? "/." : path.endsWith("/") ? "/" : "";
  const plain = posix.resolve("/", path);
  return plain === "/" ? `/${end.slice(1)}` : plain + end;
}
