import type { Node } from "@creel/shared/gen/cluster/v1/objects.ts";
import {
  type ChangeSet,
  contains,
  isFinished,
  parseCidr,
  parseIp,
  type StoreView,
  type TaskRecord,
} from "../../store/mod.ts";

interface Book {
  used: Set<number>;
  /** Where the search for the next address begins, so that one given back is not taken again at once. */
  last: number;
}

/** Which addresses of each network are taken; kept in step with the store by what changed. */
export class AddressBook {
  private index = -1;
  private books = new Map<string, Book>();
  private tentative: { book: Book; address: number }[] = [];

  /** Brings the book up to the view. Addresses taken since the last time count only if they are in the view. */
  sync(view: StoreView, changed: ChangeSet): void {
    const follows = !changed.full && changed.from === this.index;
    this.index = view.index;
    if (!follows || changed.networks.size > 0) {
      this.rebuild(view);
      return;
    }
    for (const { book, address } of this.tentative) book.used.delete(address);
    this.tentative = [];
    for (const { before } of changed.tasks.values()) if (before) this.ofTask(before, false);
    for (const { before } of changed.services.values())
      for (const vip of before?.virtualIps ?? []) this.mark(vip.networkId, vip.address, false);
    for (const { before } of changed.nodes.values()) this.ofNode(before, false);
    for (const { after } of changed.tasks.values()) if (after) this.ofTask(after, true);
    for (const { after } of changed.services.values())
      for (const vip of after?.virtualIps ?? []) this.mark(vip.networkId, vip.address, true);
    for (const { after } of changed.nodes.values()) this.ofNode(after, true);
  }

  /** A free address of the subnet; undefined when there is none. */
  take(networkId: string, subnet: string): number | undefined {
    const range = parseCidr(subnet);
    if (!range || range.size > 30) return undefined;
    const book = this.open(networkId);
    const hosts = 2 ** (32 - range.size) - 2;
    const start = book.last === 0 ? 0 : (book.last - range.base) >>> 0;
    for (let i = 0; i < hosts; i++) {
      const address = (range.base + 1 + ((start + i) % hosts)) | 0;
      if (book.used.has(address)) continue;
      book.used.add(address);
      book.last = address;
      this.tentative.push({ book, address });
      return address;
    }
    return undefined;
  }

  /** Takes that very address if it is of the subnet and free; false when it is not. */
  claim(networkId: string, subnet: string, address: string): boolean {
    const range = parseCidr(subnet);
    const ip = parseIp(address);
    if (!range || ip === undefined || !contains(range, ip)) return false;
    const last = 2 ** (32 - range.size) - 1;
    const place = (ip - range.base) >>> 0;
    if (place === 0 || place === last || this.open(networkId).used.has(ip)) return false;
    this.reserve(networkId, address);
    return true;
  }

  /** Takes that very address, the gateway's for one. */
  reserve(networkId: string, address: string): void {
    const ip = parseIp(address);
    if (ip === undefined) return;
    const book = this.open(networkId);
    book.used.add(ip);
    this.tentative.push({ book, address: ip });
  }

  private rebuild(view: StoreView) {
    this.books = new Map();
    this.tentative = [];
    for (const network of view.networks()) this.mark(network.id, network.gateway, true);
    for (const node of view.nodes()) this.ofNode(node, true);
    for (const { virtualIps } of view.services()) {
      for (const vip of virtualIps) this.mark(vip.networkId, vip.address, true);
    }
    let youngest = 0;
    for (const task of view.records()) {
      this.ofTask(task, true);
      if (task.createdAt < youngest) continue;
      youngest = task.createdAt;
      task.shapes.forEach(({ networkId }, n) => {
        this.open(networkId).last = task.addressAt(n);
      });
    }
  }

  private ofTask(task: TaskRecord, taken: boolean) {
    if (isFinished(task)) return;
    task.shapes.forEach(({ networkId }, n) => {
      this.set(networkId, task.addressAt(n), taken);
    });
  }

  private ofNode(node: Node | undefined, taken: boolean) {
    for (const [networkId, address] of Object.entries(node?.addresses ?? {}))
      this.mark(networkId, address, taken);
    for (const { networkId, address } of node?.attachments ?? []) this.mark(networkId, address, taken);
  }

  private mark(networkId: string, address: string, taken: boolean) {
    const ip = parseIp(address);
    if (ip !== undefined) this.set(networkId, ip, taken);
  }

  private set(networkId: string, ip: number, taken: boolean) {
    const { used } = this.open(networkId);
    if (taken) used.add(ip);
    else used.delete(ip);
  }

  private open(networkId: string): Book {
    let book = this.books.get(networkId);
    if (!book) {
      book = { used: new Set(), last: 0 };
      this.books.set(networkId, book);
    }
    return book;
  }
}
