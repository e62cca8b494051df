const PAGE_BITS = 10;
const PAGE = 1 << PAGE_BITS;
const MASK = PAGE - 1;

/**
 * A list in pages of 1,024 slots. Taking `writable(epoch)` of a list of an older epoch gives a copy that shares all
 * pages; a page is copied when it is first written to in an epoch. Whoever keeps the older list sees no change.
 */
export class CowList<T> {
  readonly epoch: number;
  length: number;
  private readonly pages: T[][];
  private readonly pageEpochs: number[];

  constructor(epoch = 0, pages: T[][] = [], pageEpochs: number[] = [], length = 0) {
    this.epoch = epoch;
    this.pages = pages;
    this.pageEpochs = pageEpochs;
    this.length = length;
  }

  /** This list if it is of `epoch`, else a copy of that epoch. */
  writable(epoch: number): CowList<T> {
    if (epoch === this.epoch) return this;
    return new CowList(epoch, this.pages.slice(), this.pageEpochs.slice(), this.length);
  }

  at(i: number): T | undefined {
    return i < this.length ? this.pages[i >>> PAGE_BITS]![i & MASK] : undefined;
  }

  set(i: number, value: T): void {
    this.page(i >>> PAGE_BITS)[i & MASK] = value;
  }

  push(value: T): void {
    const p = this.length >>> PAGE_BITS;
    if (p === this.pages.length) {
      this.pages.push([value]);
      this.pageEpochs.push(this.epoch);
    } else {
      this.page(p).push(value);
    }
    this.length++;
  }

  pop(): T | undefined {
    if (this.length === 0) return undefined;
    this.length--;
    const p = this.length >>> PAGE_BITS;
    const value = this.page(p).pop();
    if ((this.length & MASK) === 0) {
      this.pages.pop();
      this.pageEpochs.pop();
    }
    return value;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.length; i++) yield this.pages[i >>> PAGE_BITS]![i & MASK]!;
  }

  private page(p: number): T[] {
    if (this.pageEpochs[p] !== this.epoch) {
      this.pages[p] = this.pages[p]!.slice();
      this.pageEpochs[p] = this.epoch;
    }
    return this.pages[p]!;
  }
}
