import type { AssignedData, Assignments, DataKey } from "@creel/shared/gen/cluster/v1/dispatcher.ts";

/** The values of secrets and configs that the managers gave this node. They are nowhere but here, in memory. */
export class Values {
  readonly #values = new Map<string, AssignedData>();
  #arrived = () => {};
  #arrival = Promise.resolve();

  constructor() {
    this.#expect();
  }

  /** Takes in what an assignment gives and takes back. */
  take({ full, setData, removeData }: Assignments): void {
    if (full) this.#values.clear();
    for (const key of removeData) this.#values.delete(textOf(key));
    for (const value of setData) if (value.key) this.#values.set(textOf(value.key), value);
    if (setData.length === 0) return;
    this.#arrived();
    this.#expect();
  }

  get(key: DataKey): AssignedData | undefined {
    return this.#values.get(textOf(key));
  }

  /** Resolves when more values have come. */
  get arrival(): Promise<void> {
    return this.#arrival;
  }

  #expect(): void {
    this.#arrival = new Promise((resolve) => {
      this.#arrived = resolve;
    });
  }
}

function textOf({ id, revision }: DataKey): string {
  return `${id} ${revision}`;
}
