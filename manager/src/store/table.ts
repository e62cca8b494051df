import { CowList } from "./cow-list.ts";

/** What a table holds: one immutable row for each id. */
export interface Row {
  readonly id: string;
}

/** Rows of one kind: string ids outside, integer handles inside. Only `apply` writes to it. */
export class Table<R extends Row> {
  /** Counts writes; a view of an older revision no longer trusts `handles` alone. */
  revision = 0;
  readonly handles: Map<string, number>;
  private rows: CowList<R | undefined>;
  private epoch: number;
  private readonly free: number[];
  private frozen: TableView<R> | undefined;

  constructor(handles = new Map<string, number>(), rows = new CowList<R | undefined>(), free: number[] = []) {
    this.handles = handles;
    this.rows = rows;
    this.epoch = rows.epoch;
    this.free = free;
  }

  /** Another table with the same rows (and their handles); what is written to one does not show in the other. */
  fork(): Table<R> {
    this.view();
    return new Table(new Map(this.handles), this.rows.writable(this.epoch), this.free.slice());
  }

  get(id: string): R | undefined {
    const handle = this.handles.get(id);
    return handle === undefined ? undefined : this.rows.at(handle);
  }

  handleOf(id: string): number | undefined {
    return this.handles.get(id);
  }

  /** Puts the row in place of the one with its id (whose handle is known, or looked for), or as a new one. */
  put(row: R, known?: number): number {
    let handle = known ?? this.handles.get(row.id);
    this.startWrite();
    if (handle === undefined) {
      handle = this.free.pop() ?? this.rows.length;
      this.handles.set(row.id, handle);
      if (handle === this.rows.length) {
        this.rows.push(row);
        return handle;
      }
    }
    this.rows.set(handle, row);
    return handle;
  }

  remove(id: string): number | undefined {
    const handle = this.handles.get(id);
    if (handle === undefined) return undefined;
    this.startWrite();
    this.rows.set(handle, undefined);
    this.handles.delete(id);
    this.free.push(handle);
    return handle;
  }

  find(matches: (row: R) => boolean): R | undefined {
    for (const row of this.rows) if (row !== undefined && matches(row)) return row;
    return undefined;
  }

  at(handle: number): R | undefined {
    return this.rows.at(handle);
  }

  *[Symbol.iterator](): Generator<R> {
    for (const row of this.rows) if (row !== undefined) yield row;
  }

  /** The rows as they are now, for ever; O(1). */
  view(): TableView<R> {
    if (!this.frozen) {
      this.frozen = new TableView(this, this.rows, this.revision, this.handles.size);
      this.epoch++;
    }
    return this.frozen;
  }

  private startWrite() {
    this.revision++;
    this.frozen = undefined;
    this.rows = this.rows.writable(this.epoch);
  }
}

/** The rows of a table at one instant. */
export class TableView<R extends Row> {
  readonly size: number;
  private readonly table: Table<R>;
  private readonly rows: CowList<R | undefined>;
  private readonly revision: number;

  constructor(table: Table<R>, rows: CowList<R | undefined>, revision: number, size: number) {
    this.table = table;
    this.rows = rows;
    this.revision = revision;
    this.size = size;
  }

  at(handle: number): R | undefined {
    return this.rows.at(handle);
  }

  get(id: string): R | undefined {
    const handle = this.table.handles.get(id);
    if (handle !== undefined) {
      const row = this.rows.at(handle);
      if (row?.id === id) return row;
    }
    // The ids are those of the present: what has gone since this view was taken is found by looking at all rows.
    return this.table.revision === this.revision ? undefined : this.find((row) => row.id === id);
  }

  find(matches: (row: R) => boolean): R | undefined {
    for (const row of this) if (matches(row)) return row;
    return undefined;
  }

  *[Symbol.iterator](): Generator<R> {
    for (let i = 0; i < this.rows.length; i++) {
      const row = this.rows.at(i);
      if (row !== undefined) yield row;
    }
  }
}
