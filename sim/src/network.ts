import type { Random } from "@creel/shared";
import type { Process, VirtualTime } from "./time.ts";

/** A connection that has something to carry and cannot for so long is given up: gRPC's keepalive. */
const KEEPALIVE_MS = 5_000;
/** TCP sends again what was lost. */
const RETRANSMIT_MS = 250;
/** A connection's last word is not sent for ever. */
const LAST_WORD_MS = 60_000;

/** The wires between the machines, and what is wrong with them. */
export class Network {
  readonly time: VirtualTime;
  readonly #random: Random;
  /** Machines without power. */
  readonly dark = new Set<string>();
  /** `a>b`: nothing goes from a to b. */
  readonly #cuts = new Set<string>();
  /** Part of the packets that are lost. */
  loss = 0;
  /** Part of the messages without a connection that come twice. */
  doubles = 0;
  /** The most that a packet is under way, in ms. */
  slowness = 2;

  constructor(time: VirtualTime, random: Random) {
    this.time = time;
    this.#random = random;
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  mend(from: string, to: string): void {
    this.#cuts.delete(`${from}>${to}`);
  }

  /** No packet is lost, doubled or late. */
  calm(): void {
    this.loss = 0;
    this.doubles = 0;
    this.slowness = 2;
  }

  isCut(from: string, to: string): boolean {
    return this.dark.has(from) || this.dark.has(to) || (from !== to && this.#cuts.has(`${from}>${to}`));
  }

  /** How long the next packet is under way. */
  delay(): number {
    return 0.2 + this.#random.next() * this.slowness;
  }

  isLost(): boolean {
    return this.loss > 0 && this.#random.next() < this.loss;
  }

  /** A message on its own: it may come late, twice, never, or after one that was sent later. */
  datagram(from: Process, to: string, deliver: () => void): void {
    const copies = this.doubles > 0 && this.#random.next() < this.doubles ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.isLost()) continue;
      this.time.after(this.delay(), () => {
        if (!this.isCut(from.machine, to)) deliver();
      });
    }
  }

  /** One direction of a connection. `onLost` is told, at the sender, when it is given up. */
  pipe(from: Process, to: Process, onLost: () => void): Pipe {
    return new Pipe(this, from, to, onLost);
  }
}

/** Messages in order, each once, or the connection is lost. */
export class Pipe {
  readonly #network: Network;
  readonly #from: Process;
  readonly #to: Process;
  readonly #onLost: () => void;
  #queue: (() => void)[] = [];
  #moving = false;
  #patience = KEEPALIVE_MS;
  #waited = 0;
  #over = false;

  constructor(network: Network, from: Process, to: Process, onLost: () => void) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
    this.#onLost = onLost;
  }

  /** `deliver` is called at the other end. */
  send(deliver: () => void): void {
    if (this.#over || !this.#from.alive) return;
    this.#queue.push(deliver);
    this.#move();
  }

  /** The last message; the sender's kernel goes on trying when the sender is gone. */
  sendLast(deliver: () => void): void {
    if (this.#over) return;
    this.#queue.push(() => {
      this.#over = true;
      deliver();
    });
    this.#patience = LAST_WORD_MS;
    this.#move();
  }

  #move(): void {
    if (this.#moving) return;
    this.#moving = true;
    const again = this.#network.isLost() ? RETRANSMIT_MS : 0;
    this.#network.time.after(this.#network.delay() + again, () => this.#arrive());
  }

  #arrive(): void {
    if (this.#network.isCut(this.#from.machine, this.#to.machine)) {
      this.#waited += RETRANSMIT_MS;
      if (this.#waited >= this.#patience) this.#lose();
      else this.#network.time.after(RETRANSMIT_MS, () => this.#arrive());
      return;
    }
    if (!this.#to.alive) {
      this.#lose();
      return;
    }
    this.#waited = 0;
    this.#moving = false;
    for (const deliver of this.#queue.splice(0)) deliver();
  }

  #lose(): void {
    this.#over = true;
    this.#queue = [];
    if (this.#from.alive) this.#onLost();
  }
}
