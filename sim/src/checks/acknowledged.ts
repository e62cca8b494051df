import type { StoreView } from "@creel/manager";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { ControlReply, ControlRequest } from "@creel/shared/gen/cluster/v1/control.ts";
import type { LogWatch } from "./log.ts";

interface Known {
  /** Index of the newest change that was acknowledged. */
  version: number;
  /** Somebody asked for its end; whether it came is not known. */
  removing: boolean;
  removed: boolean;
}

/** What users were told is done, to be compared with what is there. */
export class Acknowledged {
  readonly #log: LogWatch;
  readonly #fail: (what: string) => void;
  readonly #services = new Map<string, Known>();
  count = 0;

  constructor(log: LogWatch, fail: (what: string) => void) {
    this.#log = log;
    this.#fail = fail;
  }

  /** A request that may or may not come to pass. */
  asked({ kind }: ControlRequest): void {
    if (kind?.$case === "removeService") this.#of(kind.value).removing = true;
  }

  /** A request was answered: a majority has it. */
  done({ kind }: ControlRequest, reply: ControlReply): void {
    this.count++;
    const actions = this.#log.actionsAt(reply.index);
    if (!actions?.some((action) => concerns(action, reply.id)))
      this.#fail(
        `${kind?.$case} of ${reply.id} was acknowledged at ${reply.index}, and is not there in the log`,
      );
    if (kind?.$case === "removeService") this.#of(reply.id).removed = true;
    if (kind?.$case === "createService" || kind?.$case === "updateService") {
      const known = this.#of(reply.id);
      known.version = Math.max(known.version, reply.index);
    }
  }

  /** Compares with the state at the end. */
  compare(view: StoreView): void {
    for (const [id, { version, removing, removed }] of this.#services) {
      const service = view.service(id);
      if (service && removed) this.#fail(`service ${id} was acknowledged to be removed, and is there`);
      if (!service && !removing) this.#fail(`service ${id} was acknowledged at ${version}, and is gone`);
      if (service && (service.meta?.version ?? 0) < version)
        this.#fail(`service ${id} was changed at ${version}, and is of ${service.meta?.version}`);
    }
  }

  #of(id: string): Known {
    let known = this.#services.get(id);
    if (!known) {
      known = { version: 0, removing: false, removed: false };
      this.#services.set(id, known);
    }
    return known;
  }
}

/** Whether the action makes, changes or removes the object of that id. */
function concerns({ kind }: Action, id: string): boolean {
  switch (kind?.$case) {
    case "putService":
      return kind.value.service?.id === id;
    case "putNode":
      return kind.value.node?.id === id;
    case "putNetwork":
      return kind.value.network?.id === id;
    case "removeService":
    case "removeNode":
    case "removeNetwork":
      return kind.value === id;
    default:
      return false;
  }
}
