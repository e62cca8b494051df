import { CowList } from "./cow-list.ts";
import { Table, type TableView } from "./table.ts";

interface Entry {
  readonly id: string;
  readonly list: CowList<number>;
}

const NO_HANDLES = new CowList<number>();

/** Handles of rows by a key of theirs, each handle below one key at most. */
export class HandleIndex {
  private readonly keys: Table<Entry>;
  private epoch: number;
  /** Where a handle stands in its key's list; only the writer needs it. */
  private positions: Int32Array<ArrayBuffer>;

  constructor(keys = new Table<Entry>(), epoch = 0, positions = new Int32Array(1024)) {
    this.keys = keys;
    this.epoch = epoch;
    this.positions = positions;
  }

  /** Another index with the same handles, for a fork of the table. */
  fork(): HandleIndex {
    this.epoch++;
    return new HandleIndex(this.keys.fork(), this.epoch, this.positions.slice());
  }

  add(key: string, handle: number): void {
    const list = this.open(key);
    if (handle >= this.positions.length) {
      const larger = new Int32Array(Math.max(handle + 1, this.positions.length * 2));
      larger.set(this.positions);
      this.positions = larger;
    }
    this.positions[handle] = list.length;
    list.push(handle);
  }

  remove(key: string, handle: number): void {
    const list = this.open(key);
    const last = list.pop()!;
    if (last !== handle) {
      const hole = this.positions[handle]!;
      list.set(hole, last);
      this.positions[last] = hole;
    }
    if (list.length === 0) this.keys.remove(key);
  }

  /** The handles below `key` as they are now; changes with the next write. */
  of(key: string): CowList<number> {
    return this.keys.get(key)?.list ?? NO_HANDLES;
  }

  view(): HandleIndexView {
    this.epoch++;
    return new HandleIndexView(this.keys.view());
  }

  private open(key: string): CowList<number> {
    const entry = this.keys.get(key);
    if (entry?.list.epoch === this.epoch) return entry.list;
    const list = entry ? entry.list.writable(this.epoch) : new CowList<number>(this.epoch);
    this.keys.put({ id: key, list });
    return list;
  }
}

/** A {@link HandleIndex} at one instant. */
export class HandleIndexView {
  private readonly keys: TableView<Entry>;

  constructor(keys: TableView<Entry>) {
    this.keys = keys;
  }

  /** The handles below `key`, in no particular order. */
  of(key: string): CowList<number> {
    return this.keys.get(key)?.list ?? NO_HANDLES;
  }
}
