import { isDeepStrictEqual } from "node:util";
import type { Service, ServiceSpec, TaskSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { fitsSpec } from "../../scheduler/mod.ts";
import { isLive, type StoreView, type TaskGroup, type TaskRecord, taskPorts } from "../../store/mod.ts";

/** Live tasks of an older spec version for which the change means nothing: they run what the newest asks for. */
export function adoptable(view: StoreView, service: Service): string[] {
  const same = new Map<TaskGroup, boolean>();
  const ids: string[] = [];
  for (const task of view.recordsOfService(service.id)) {
    if (task.specVersion === service.specVersion || !isLive(task)) continue;
    let runsTheSame = same.get(task.group);
    if (runsTheSame === undefined) {
      runsTheSame = isSame(task.group, service.spec!);
      same.set(task.group, runsTheSame);
    }
    if (runsTheSame && keepsNode(view, service, task)) ids.push(task.id);
  }
  return ids;
}

/** Placement says where a task may run, not what it is: a change of it moves only those whose node is no longer meant. */
function keepsNode(view: StoreView, service: Service, task: TaskRecord): boolean {
  if (task.nodeId === "") return true;
  const node = view.node(task.nodeId);
  return node !== undefined && fitsSpec(service.spec!.task!, node);
}

function isSame({ spec, ports }: TaskGroup, wished: ServiceSpec): boolean {
  return (
    isDeepStrictEqual(withoutPlacement(spec), withoutPlacement(wished.task!)) &&
    isDeepStrictEqual(taskPorts(ports), taskPorts(wished.endpoint?.ports ?? []))
  );
}

function withoutPlacement(spec: TaskSpec): TaskSpec {
  return { ...spec, placement: undefined };
}
