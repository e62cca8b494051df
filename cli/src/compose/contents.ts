import type { FileObject, Model } from "./model.ts";
import type { Place, Problems } from "./problems.ts";
import { reason } from "./surroundings.ts";
import type { Lookup } from "./variables.ts";

/** Data by the name that the compose file has for it. */
export interface Contents {
  secrets: Map<string, Buffer>;
  configs: Map<string, Buffer>;
}

/** The most that the cluster takes of each. */
const MOST = { secrets: 500 << 10, configs: 1000 << 10 };

/** Reads the data of secrets and configs that are the stack's own. */
export function readContents(
  model: Model,
  places: ReadonlyMap<string, Place>,
  read: (path: string) => Buffer,
  lookup: Lookup,
  problems: Problems,
): Contents {
  const all = (kind: "secrets" | "configs") => {
    const found = new Map<string, Buffer>();
    for (const [name, object] of Object.entries(model[kind])) {
      if (object.external) continue;
      const key = `${kind}.${name}`;
      const data = dataOf(object, read, lookup);
      if (typeof data === "string") problems.add(places.get(key), key, data);
      else if (data.length > MOST[kind])
        problems.add(places.get(key), key, `${data.length} bytes are too many: at most ${MOST[kind]}`);
      else if (data.length === 0 && object.driver === undefined)
        problems.add(places.get(key), key, "there is no data in it: at least one byte is needed");
      else found.set(name, data);
    }
    return found;
  };
  return { secrets: all("secrets"), configs: all("configs") };
}

/** The data, or what is wrong. */
function dataOf(object: FileObject, read: (path: string) => Buffer, lookup: Lookup): Buffer | string {
  if (object.content !== undefined) return Buffer.from(object.content);
  if (object.driver !== undefined) return Buffer.alloc(0);
  if (object.environment !== undefined) {
    const value = lookup(object.environment);
    return value === undefined ? `the variable ${object.environment} is not set` : Buffer.from(value);
  }
  if (object.file === undefined) return "needs one of file, environment, content or external";
  try {
    return read(object.file);
  } catch (error) {
    return `cannot read ${object.file}: ${reason(error)}`;
  }
}
