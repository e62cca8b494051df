import type { ChangeSet, StoreView, TaskRecord } from "../store/mod.ts";
import type { Need } from "./need.ts";
import { NodeInfo } from "./node-info.ts";

/** What is taken on every node; kept in step with the store by what changed. */
export class Usage {
  private index = -1;
  private infos = new Map<string, NodeInfo>();
  private claims: { info: NodeInfo; need: Need }[] = [];

  /** Brings it up to the view. Claims made since the last time count only if they are in the view. */
  sync(view: StoreView, changed: ChangeSet): void {
    const follows = !changed.full && changed.from === this.index;
    this.index = view.index;
    if (!follows) {
      this.rebuild(view);
      return;
    }
    for (const { info, need } of this.claims) info.claim(need, -1);
    this.claims = [];
    for (const { before } of changed.tasks.values()) if (before) this.count(before, -1);
    for (const [id, { after }] of changed.nodes) {
      const info = this.infos.get(id);
      if (!after) this.infos.delete(id);
      else if (info) info.node = after;
      else this.infos.set(id, new NodeInfo(after));
    }
    for (const { after } of changed.tasks.values()) if (after) this.count(after, 1);
  }

  rebuild(view: StoreView): void {
    this.claims = [];
    this.infos = new Map(view.nodes().map((node) => [node.id, new NodeInfo(node)]));
    for (const task of view.records()) this.count(task, 1);
  }

  node(id: string): NodeInfo | undefined {
    return this.infos.get(id);
  }

  nodes(): NodeInfo[] {
    return [...this.infos.values()];
  }

  claim(info: NodeInfo, need: Need): void {
    info.claim(need, 1);
    this.claims.push({ info, need });
  }

  private count(task: TaskRecord, sign: 1 | -1) {
    if (task.nodeId !== "") this.infos.get(task.nodeId)?.count(task, sign);
  }
}
