import type { AssignedData, DataKey } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { DATA_KINDS } from "../data.ts";
import { isLive, type StoreView, type TaskRecord } from "../store/mod.ts";

/** Bytes of values a message carries; one more may go beyond it. */
const MESSAGE_BYTES = 4 << 20;

/** Which values of secrets and configs one node was given. */
export class DataTracker {
  readonly #given = new Map<string, DataKey>();

  /** Values that the tasks name and the node has not yet, as many as a message carries; and those it is to forget. */
  next(tasks: TaskRecord[], view: StoreView): { setData: AssignedData[]; removeData: DataKey[] } {
    const named = namedBy(tasks);
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

/** What tasks name that may yet begin to run. */
function namedBy(tasks: TaskRecord[]): Map<string, DataKey> {
  const named = new Map<string, DataKey>();
  for (const spec of new Set(tasks.filter(isLive).map((task) => task.spec))) {
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
