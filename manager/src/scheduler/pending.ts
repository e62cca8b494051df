import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type ChangeSet, isWanted, type StoreView, type TaskGroup, type TaskRecord } from "../store/mod.ts";

/** Tasks of one kind that wait for a node, the oldest first. */
export type PendingTasks = Map<string, TaskRecord>;

/** All tasks that wait for a node; kept in step with the store by what changed. */
export class Pending {
  private index = -1;
  private readonly groups = new Map<TaskGroup, PendingTasks>();
  private readonly due = new Set<TaskGroup>();

  sync(view: StoreView, changed: ChangeSet): void {
    const follows = !changed.full && changed.from === this.index;
    this.index = view.index;
    if (!follows) {
      this.rebuild(view);
      return;
    }
    for (const [id, { before, after }] of changed.tasks) {
      if (before && waits(before)) this.remove(before.group, id);
      if (after && waits(after)) this.add(after);
    }
  }

  /** Every group is to be looked at, since there may be room now. */
  retry(): void {
    for (const group of this.groups.keys()) this.due.add(group);
  }

  /** The groups to be looked at, that with the oldest task first. Each is out of the list then. */
  *take(): Generator<[TaskGroup, PendingTasks]> {
    const age = (group: TaskGroup) => oldest(this.groups.get(group)!).createdAt;
    for (const group of [...this.due].sort((a, b) => age(a) - age(b))) {
      this.due.delete(group);
      yield [group, this.groups.get(group)!];
    }
  }

  /** Not all of the group was looked at. */
  putBack(group: TaskGroup): void {
    this.due.add(group);
  }

  get done(): boolean {
    return this.due.size === 0;
  }

  private rebuild(view: StoreView) {
    this.groups.clear();
    this.due.clear();
    const pending = view.recordsInState(TaskState.TASK_STATE_PENDING).filter(isWanted);
    pending.sort((a, b) => a.createdAt - b.createdAt || a.slot - b.slot || (a.id < b.id ? -1 : 1));
    for (const task of pending) this.add(task);
    this.retry();
  }

  private add(task: TaskRecord) {
    const tasks = this.groups.get(task.group);
    if (tasks) tasks.set(task.id, task);
    else this.groups.set(task.group, new Map([[task.id, task]]));
    if (task.err === "") this.due.add(task.group);
  }

  private remove(group: TaskGroup, id: string) {
    const tasks = this.groups.get(group);
    if (!tasks?.delete(id) || tasks.size > 0) return;
    this.groups.delete(group);
    this.due.delete(group);
  }
}

function waits(task: TaskRecord): boolean {
  return task.state === TaskState.TASK_STATE_PENDING && isWanted(task);
}

function oldest(tasks: PendingTasks): TaskRecord {
  return tasks.values().next().value!;
}
