import { invalid } from "../../invalid.ts";

const DEFAULT_MODE = 0o444;

interface File {
  Name: string;
  UID: string;
  GID: string;
  Mode: number;
}
export interface SecretReference {
  File?: File;
  SecretID: string;
  SecretName: string;
}
export interface ConfigReference {
  File?: File;
  Runtime?: object;
  ConfigID: string;
  ConfigName: string;
}

/** A secret or config with the file it is to be. */
interface Wish {
  source: string;
  file: File;
}

/** A service's references after some were added and some removed by name; undefined where nothing was asked for. */
export async function changedReferences<R extends { File?: File }>(
  before: R[] | undefined,
  added: string[] | undefined,
  removed: string[] | undefined,
  nameOf: (reference: R) => string,
  make: (wish: Wish) => Promise<R>,
): Promise<R[] | undefined> {
  if (added === undefined && removed === undefined) return undefined;
  const wishes = (added ?? []).map(wishOf);
  const stays = (each: R) =>
    !removed?.includes(nameOf(each)) && !wishes.some(({ file }) => file.Name === each.File?.Name);
  return [...(before ?? []).filter(stays), ...(await Promise.all(wishes.map(make)))];
}

/** `NAME`, or `source=NAME,target=PATH,uid=N,gid=N,mode=0400`. */
function wishOf(text: string): Wish {
  if (!text.includes("=")) return { source: text, file: fileOf(text, {}) };
  const fields: Record<string, string> = {};
  for (const field of text.split(",")) {
    const [key, value = ""] = field.split(/=(.*)/s) as [string, string?];
    const known = { src: "source", source: "source", target: "target", uid: "uid", gid: "gid", mode: "mode" }[
      key
    ];
    if (known === undefined)
      throw invalid(`invalid field ${key} in "${text}": source, target, uid, gid or mode`);
    fields[known] = value;
  }
  const { source } = fields;
  if (!source) throw invalid(`source is required in "${text}"`);
  return { source, file: fileOf(fields.target || source, fields) };
}

function fileOf(name: string, { uid = "0", gid = "0", mode }: Record<string, string>): File {
  if (mode !== undefined && !/^0?[0-7]{1,4}$/.test(mode))
    throw invalid(`invalid mode specified: ${mode} is not octal, such as 0400`);
  return {
    Name: name,
    UID: uid,
    GID: gid,
    Mode: mode === undefined ? DEFAULT_MODE : Number.parseInt(mode, 8),
  };
}
