import type { Action, NewTask } from "@creel/shared/gen/cluster/v1/actions.ts";
import { type Cause, CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { TaskRecord } from "../store/mod.ts";
import { cause, createTasks } from "./actions.ts";
import type { LoopContext } from "./loop.ts";

/** A task for each of the slots. One that takes another's place (`before` knows the slot's) is made by what stopped that. */
export function fillSlots(
  service: Service,
  slots: number[],
  before: (slot: number) => TaskRecord[] | undefined,
  { newId }: LoopContext,
): Action[] {
  const more = cause(CauseKind.CAUSE_MODE);
  const tasks = new Map<Cause, NewTask[]>();
  for (const slot of slots) {
    const why = before(slot)?.at(-1)?.stoppedBy ?? more;
    const task = { id: newId(), slot, nodeId: "", desiredState: TaskState.TASK_STATE_RUNNING };
    const alike = tasks.get(why);
    if (alike) alike.push(task);
    else tasks.set(why, [task]);
  }
  return [...tasks].flatMap(([why, made]) => createTasks(service.id, made, why));
}
