import type { Millis } from "@creel/shared";
import type { Action, NewTask } from "@creel/shared/gen/cluster/v1/actions.ts";
import { CauseKind, type Move, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isLive, isWanted, type StoreView, type TaskRecord } from "../../store/mod.ts";
import { cause, createTasks, setDesiredState } from "../actions.ts";
import { type Handover, handoverOf, successorState } from "../handover.ts";
import type { Loop, LoopContext } from "../loop.ts";
import { SlotFinder } from "../slots.ts";
import { isUpdating, updateSettings } from "../updater/settings.ts";

/**
 * Moves the tasks that a rebalance chose, as a drain does it, of each service no more at a time than its updates may
 * change. A move whose successor does not come up is given up: the task stays where it is.
 */
export const rebalance: Loop = (view, _, context) => {
  const under = view.cluster().rebalance;
  if (!under) return { actions: [] };
  const round = new Round(view, context);
  const left = under.moves.filter((move) => round.advance(move));
  const actions = round.actions();
  if (left.length < under.moves.length) {
    const rest = left.length > 0 ? { ...under, moves: left } : undefined;
    actions.push({ kind: { $case: "setRebalance", value: { rebalance: rest } } });
  }
  return round.wakeAt === undefined ? { actions } : { actions, wakeAt: round.wakeAt };
};

class Round {
  wakeAt: Millis | undefined;
  private readonly view: StoreView;
  private readonly context: LoopContext;
  private readonly finder: SlotFinder;
  private readonly made: Action[] = [];
  private readonly stop: string[] = [];
  private readonly giveUp: string[] = [];
  /** Moves that are under way, by service. */
  private readonly busy = new Map<string, number>();
  private readonly waiting: TaskRecord[] = [];

  constructor(view: StoreView, context: LoopContext) {
    this.view = view;
    this.context = context;
    this.finder = new SlotFinder(view);
  }

  /** Whether the move is still to be looked after. */
  advance({ taskId }: Move): boolean {
    const task = this.view.record(taskId);
    const handover = task && handoverOf(this.view, this.finder, task, this.context.now);
    if (!task || !handover) return false;
    if (!isLive(task)) return this.isArriving(task, handover);
    switch (handover.state) {
      case "none":
        this.waiting.push(task);
        return true;
      case "comes":
        this.keepBusy(task, handover.until);
        return true;
      case "stop":
        this.stop.push(task.id);
        this.keepBusy(task, handover.until);
        return true;
      case "failed":
        return this.callOff(handover.successors.filter(isWanted));
    }
  }

  actions(): Action[] {
    for (const task of this.waiting) this.begin(task);
    const why = cause(CauseKind.CAUSE_REBALANCE);
    const surplus = cause(CauseKind.CAUSE_SURPLUS);
    return [
      ...this.made,
      ...setDesiredState(this.stop, TaskState.TASK_STATE_SHUTDOWN, why),
      ...setDesiredState(this.giveUp, TaskState.TASK_STATE_SHUTDOWN, surplus),
    ];
  }

  /** The old one is stopped: the next of the service goes when the new one runs. */
  private isArriving(task: TaskRecord, { successors, until }: Handover): boolean {
    const next = successors.findLast(isWanted);
    if (!next || next.state >= TaskState.TASK_STATE_RUNNING || this.context.now >= until) return false;
    this.keepBusy(task, until);
    return true;
  }

  /** Until nothing is wanted beside the old one: what ended may be followed by another in the same round. */
  private callOff(wanted: TaskRecord[]): boolean {
    for (const { id } of wanted) this.giveUp.push(id);
    return wanted.length > 0;
  }

  private keepBusy({ serviceId }: TaskRecord, until: Millis) {
    this.busy.set(serviceId, (this.busy.get(serviceId) ?? 0) + 1);
    this.wakeAt = Math.min(this.wakeAt ?? until, until);
  }

  private begin(task: TaskRecord) {
    const service = this.view.service(task.serviceId)!;
    const busy = this.busy.get(service.id) ?? 0;
    if (busy >= updateSettings(service).parallelism || isUpdating(service)) return;
    this.busy.set(service.id, busy + 1);
    const next: NewTask = {
      id: this.context.newId(),
      slot: task.slot,
      nodeId: "",
      desiredState: successorState(service),
    };
    const why = cause(CauseKind.CAUSE_REBALANCE, { subject: task.nodeId });
    this.made.push(...createTasks(service.id, [next], why));
  }
}
