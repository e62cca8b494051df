import type { Action, NewTask } from "@creel/shared/gen/cluster/v1/actions.ts";
import { CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { fitsSpec } from "../../scheduler/mod.ts";
import { isWanted, type StoreView } from "../../store/mod.ts";
import { cause, createTasks, setDesiredState } from "../actions.ts";
import type { Loop, LoopContext } from "../loop.ts";
import { takesTasks } from "../node-fitness.ts";
import { endedByItself, mayRestart } from "../restart-policy.ts";
import { isGlobal, slotsOf, touchedServices } from "../slots.ts";

/** Keeps one task on each node that takes tasks and meets the service's constraints. */
export const global: Loop = (view, changed, context) => {
  const nodesChanged = changed.full || changed.nodes.size > 0;
  const services = nodesChanged
    ? view.services()
    : [...touchedServices(view, changed)].flatMap((id) => view.service(id) ?? []);
  const actions: Action[] = [];
  for (const service of services) {
    if (isGlobal(service)) actions.push(...keep(view, service, context));
  }
  return { actions };
};

function keep(view: StoreView, service: Service, { now, newId }: LoopContext): Action[] {
  const slots = slotsOf(view, service);
  const create: NewTask[] = [];
  const stop: string[] = [];
  for (const node of view.nodes()) {
    const tasks = slots.get(node.id) ?? [];
    const wanted = tasks.filter(isWanted);
    const fits = fitsSpec(service.spec!.task!, node);
    if (!fits) {
      for (const task of wanted) stop.push(task.id);
      continue;
    }
    if (wanted.length > 0 || !takesTasks(node)) continue;
    const last = tasks.at(-1);
    const done =
      last !== undefined &&
      last.desiredState === TaskState.TASK_STATE_SHUTDOWN &&
      last.specVersion === service.specVersion &&
      endedByItself(last) &&
      !mayRestart(service, tasks, last, now);
    if (done) continue;
    create.push({ id: newId(), slot: 0, nodeId: node.id, desiredState: TaskState.TASK_STATE_RUNNING });
  }
  return [
    ...setDesiredState(stop, TaskState.TASK_STATE_SHUTDOWN, cause(CauseKind.CAUSE_NODE_UNFIT)),
    ...createTasks(service.id, create, cause(CauseKind.CAUSE_MODE)),
  ];
}
