import { type Action, Entry } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { RaftOptions } from "node-raft-server";
import type { Trace } from "../trace.ts";

type Opener = NonNullable<RaftOptions["open"]>;

interface Known {
  term: number;
  data: Buffer;
  by: string;
}

/**
 * Looks over the shoulder of all Raft nodes: nobody leads in a term in which another led, and whoever is handed an entry
 * is handed what all others were at that place.
 */
export class LogWatch {
  readonly #trace: Trace;
  readonly #fail: (what: string) => void;
  /** Who led, by term. */
  readonly led = new Map<number, string>();
  readonly #entries = new Map<number, Known>();
  readonly #actions = new Map<number, Action[]>();
  readonly #roles = new Map<string, string>();
  readonly #slots = new Map<string, string>();

  constructor(trace: Trace, fail: (what: string) => void) {
    this.#trace = trace;
    this.#fail = fail;
  }

  /** What was committed at `index`, as far as anybody was handed it. */
  actionsAt(index: number): Action[] | undefined {
    return this.#actions.get(index);
  }

  /** The slot that a task is for: its service and its number, or its node. */
  slotOf(taskId: string): string | undefined {
    return this.#slots.get(taskId);
  }

  /** Entries that are known. */
  get count(): number {
    return this.#entries.size;
  }

  /** `open`, with an eye on what the node of that machine says. */
  opener(machine: string, open: Opener): Opener {
    return (options, sink) =>
      open(options, (events) => {
        for (const event of events) {
          if (event.kind === "status") this.role(machine, event.status.term, event.status.role);
          else if (event.kind === "entry") this.entry(machine, event.index, event.term, event.data);
          else if (event.kind === "membership")
            this.#trace.say(
              machine,
              `members at ${event.index}: ${event.voters.length} + ${event.learners.length}`,
            );
          else if (event.kind === "snapshot")
            this.#trace.say(machine, `begins with the snapshot at ${event.index}`);
        }
        sink(events);
      });
  }

  /** A node says that it has this role in this term. */
  role(machine: string, term: number, role: string): void {
    const now = `${role} of term ${term}`;
    if (role === "leader") {
      const other = this.led.get(term) ?? machine;
      this.led.set(term, other);
      if (other !== machine) this.#fail(`${machine} leads in term ${term}, and so did ${other}`);
    }
    if (this.#roles.get(machine) === now) return;
    this.#roles.set(machine, now);
    this.#trace.say(machine, `is ${now}`);
  }

  /** A node is handed a committed entry. */
  entry(machine: string, index: number, term: number, data: Uint8Array): void {
    const known = this.#entries.get(index);
    if (!known) {
      const { actions } = Entry.decode(data);
      this.#entries.set(index, { term, data: Buffer.from(data), by: machine });
      this.#actions.set(index, actions);
      for (const { kind } of actions) {
        if (kind?.$case !== "createTasks") continue;
        const { serviceId, tasks } = kind.value;
        for (const { id, slot, nodeId } of tasks) this.#slots.set(id, `${serviceId}/${slot || nodeId}`);
      }
      this.#trace.say(machine, `has entry ${index} of term ${term}: ${wordsOf(actions)}`);
    } else if (known.term !== term || !known.data.equals(data)) {
      this.#fail(
        `entry ${index} is of term ${known.term} on ${known.by} and of term ${term} on ${machine}, and they differ`,
      );
    }
  }
}

function wordsOf(actions: Action[]): string {
  return actions
    .map(({ kind }) => (kind ? `${kind.$case} ${subject(kind.value)}`.trim() : "unknown"))
    .join(", ");
}

function subject(value: unknown): string {
  if (typeof value === "string") return value.slice(0, 6);
  const { service, serviceId, nodeId, taskIds, tasks, updates, node } = value as Record<string, never>;
  const id = (each: unknown) => (each ? String((each as { id?: string }).id ?? each).slice(0, 6) : "");
  const list = (taskIds ?? tasks ?? updates) as unknown[] | undefined;
  return [id(service ?? serviceId ?? node ?? nodeId), list && `×${list.length}`].filter(Boolean).join(" ");
}
