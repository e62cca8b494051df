import type { AssignedData, DataKey } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import type { TaskSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { DATA_KINDS } from "../data.ts";
import type { StoreView } from "../store/mod.ts";

/** Bytes of values a message carries; one more may go beyond it. */
const MESSAGE_BYTES = 4 << 20;

/** Which values of secrets and configs one node was given. */
export class DataTracker {
  readonly #given = new Map<string, DataKey>();

  /** Values that the specs name and the node has not yet, as many as a message carries; and those it is to forget. */
  next(specs: Iterable<TaskSpec>, view: StoreView): { setData: AssignedData[]; removeData: DataKey[] } {
    const named = namedBy(specs);
    const removeData: DataKey[] = [];
    for (const [text, key] of this.#given) {
      if (named.has(text)) continue;
      this.#given.delete(text);
      removeData.push(key);
    }
    const setData: AssignedData[] = [];
    let bytes = 0;
    for (const [text, key] of named) {
      if (this.#given.has(text)) continue;
      const value = assignedData(key, view);
      if (!value) continue;
      this.#given.set(text, key);
      setData.push(value);
      bytes += value.data.length;
      if (bytes >= MESSAGE_BYTES) break;
    }
    return { setData, removeData };
  }
}

function namedBy(specs: Iterable<TaskSpec>): Map<string, DataKey> {
  const named = new Map<string, DataKey>();
  for (const spec of specs) {
    for (const kind of DATA_KINDS) {
      for (const { id, revision } of kind.refs(spec)) named.set(`${id} ${revision}`, { id, revision });
    }
  }
  return named;
}

function assignedData(key: DataKey, view: StoreView): AssignedData | undefined {
  const object = view.secret(key.id) ?? view.config(key.id);
  const found = object?.revisions.find(({ number }) => number === key.revision);
  return found && { key, template: object?.spec?.templating !== undefined, data: found.data };
}
