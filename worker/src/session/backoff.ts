import type { Random } from "@creel/shared";

/** Waits that double from `first` to `most` milliseconds, each with half of it at random. */
export class Backoff {
  readonly #first: number;
  readonly #most: number;
  readonly #random: Random;
  #next: number;

  constructor(first: number, most: number, random: Random) {
    this.#first = first;
    this.#most = most;
    this.#random = random;
    this.#next = first;
  }

  next(): number {
    const wait = this.#next / 2 + (this.#random.next() * this.#next) / 2;
    this.#next = Math.min(this.#most, this.#next * 2);
    return wait;
  }

  reset(): void {
    this.#next = this.#first;
  }
}
