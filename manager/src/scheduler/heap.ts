/** A binary heap: the item that comes before all others is at hand. */
export class Heap<T> {
  private readonly items: T[];
  private readonly before: (a: T, b: T) => boolean;

  /** Takes the array for its own. */
  constructor(items: T[], before: (a: T, b: T) => boolean) {
    this.items = items;
    this.before = before;
    for (let i = (items.length >>> 1) - 1; i >= 0; i--) this.sink(i);
  }

  first(): T | undefined {
    return this.items[0];
  }

  /** The first item now comes later than it did. */
  firstFellBack(): void {
    this.sink(0);
  }

  dropFirst(): void {
    const last = this.items.pop();
    if (last === undefined || this.items.length === 0) return;
    this.items[0] = last;
    this.sink(0);
  }

  push(item: T): void {
    const { items, before } = this;
    let i = items.length;
    items.push(item);
    while (i > 0) {
      const parent = (i - 1) >>> 1;
      if (!before(item, items[parent]!)) break;
      items[i] = items[parent]!;
      i = parent;
    }
    items[i] = item;
  }

  private sink(start: number) {
    const { items, before } = this;
    const moving = items[start]!;
    let i = start;
    for (let child = 2 * i + 1; child < items.length; child = 2 * i + 1) {
      if (child + 1 < items.length && before(items[child + 1]!, items[child]!)) child++;
      if (!before(items[child]!, moving)) break;
      items[i] = items[child]!;
      i = child;
    }
    items[i] = moving;
  }
}
