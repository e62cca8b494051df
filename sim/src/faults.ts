import type { Machine } from "./machine.ts";
import type { World } from "./world.ts";

const PAUSE_MS = 12_000;

/** Something that goes wrong, and how it is put right. */
interface Fault {
  words: string;
  begin(): void;
  end(): void;
}

/** Breaks things, and repairs each after a while. */
export class Faults {
  readonly #world: World;
  readonly #open = new Set<Fault>();
  #working = false;

  constructor(world: World) {
    this.#world = world;
  }

  start(): void {
    this.#working = true;
    this.#next();
  }

  /** Nothing is broken any more. */
  stop(): void {
    this.#working = false;
    for (const fault of [...this.#open]) this.#end(fault);
  }

  #next(): void {
    const { time, random } = this.#world;
    time.after(random.next() * PAUSE_MS, () => {
      if (!this.#working) return;
      const fault = this.#think();
      if (fault) this.#begin(fault, 500 + random.next() ** 2 * 40_000);
      this.#next();
    });
  }

  #begin(fault: Fault, ms: number): void {
    this.#world.trace.say("FAULT", `${fault.words}, for ${(ms / 1000).toFixed(1)} s`);
    this.#open.add(fault);
    fault.begin();
    this.#world.time.after(ms, () => this.#end(fault));
  }

  #end(fault: Fault): void {
    if (!this.#open.delete(fault)) return;
    this.#world.trace.say("FAULT", `over: ${fault.words}`);
    fault.end();
  }

  #think(): Fault | undefined {
    const world = this.#world;
    const machine = world.chance(0.6) ? world.pick(world.managers()) : world.pick(world.machines);
    if (!machine) return undefined;
    const kinds = [
      () => this.#down(machine),
      () => this.#down(machine),
      () => this.#cut(machine),
      () => this.#cut(machine),
      () => this.#halves(),
      () => this.#weather(),
      () => this.#disk(machine),
      () => this.#engine(machine),
      () => this.#exits(machine),
    ];
    return world.pick(kinds)();
  }

  #down(machine: Machine): Fault | undefined {
    if (!machine.up) return undefined;
    const power = this.#world.chance(0.5);
    return {
      words: `${machine.name} ${power ? "is without power" : "is without its daemon"}`,
      begin: () => (power ? machine.powerOff() : machine.kill()),
      end: () => machine.start(),
    };
  }

  /** Cut off from all others, or from some, in one direction or both. */
  #cut(machine: Machine): Fault {
    const world = this.#world;
    const others = world.machines.filter((other) => other !== machine);
    const from = world.chance(0.5) ? others : others.filter(() => world.chance(0.4));
    const way = world.pick(["both", "out", "in"]);
    const pairs = from.flatMap(({ name }) => [
      ...(way === "in" ? [] : [[machine.name, name]]),
      ...(way === "out" ? [] : [[name, machine.name]]),
    ]) as [string, string][];
    const words = { both: "is cut off from", out: "is not heard by", in: "does not hear" }[way];
    const names = from.length === others.length ? "all" : from.map(({ name }) => name).join(", ") || "nobody";
    return this.#pairs(`${machine.name} ${words} ${names}`, pairs);
  }

  /** The network falls in two. */
  #halves(): Fault {
    const world = this.#world;
    const one = world.machines.filter(() => world.chance(0.5));
    const other = world.machines.filter((machine) => !one.includes(machine));
    const pairs = one.flatMap((a) =>
      other.flatMap((b): [string, string][] => [
        [a.name, b.name],
        [b.name, a.name],
      ]),
    );
    return this.#pairs(
      `the network is in two: ${one.map(({ name }) => name).join(", ")} and the others`,
      pairs,
    );
  }

  #pairs(words: string, pairs: [string, string][]): Fault {
    const { network } = this.#world;
    return {
      words,
      begin: () => {
        for (const [from, to] of pairs) network.cut(from, to);
      },
      end: () => {
        for (const [from, to] of pairs) network.mend(from, to);
      },
    };
  }

  #weather(): Fault {
    const { network, random } = this.#world;
    const loss = random.next() * 0.4;
    const doubles = random.next() * 0.3;
    const slowness = this.#world.pick([20, 200, 1_000]);
    const percent = (part: number) => `${Math.round(part * 100)} %`;
    return {
      words: `packets are lost (${percent(loss)}), doubled (${percent(doubles)}), up to ${slowness} ms late`,
      begin: () => Object.assign(network, { loss, doubles, slowness }),
      end: () => network.calm(),
    };
  }

  #disk({ name, disk }: Machine): Fault {
    if (this.#world.chance(0.4)) {
      return {
        words: `${name}'s disk is full`,
        begin: () => disk.setFree(0),
        end: () => disk.setFree(undefined),
      };
    }
    const usual = disk.syncMs;
    const ms = this.#world.pick([100, 800, 4_000]);
    return {
      words: `${name}'s disk takes up to ${ms} ms to sync`,
      begin: () => {
        disk.syncMs = () => ms * this.#world.random.next();
      },
      end: () => {
        disk.syncMs = usual;
      },
    };
  }

  #engine({ name, engine }: Machine): Fault {
    return {
      words: `${name}'s engine does not answer`,
      begin: () => {
        engine.away = true;
      },
      end: () => {
        engine.away = false;
      },
    };
  }

  /** Some of the machine's containers end by themselves. */
  #exits({ name, engine }: Machine): Fault {
    const world = this.#world;
    return {
      words: `containers of ${name} end`,
      begin: () => {
        for (const id of [...engine.containers.keys()])
          if (world.chance(0.5)) engine.exit(id, world.between(0, 1));
      },
      end: () => {},
    };
  }
}
