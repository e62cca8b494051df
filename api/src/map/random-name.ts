import { randomInt } from "node:crypto";

const FIRST = [
  "amber",
  "brave",
  "calm",
  "eager",
  "fair",
  "gentle",
  "jolly",
  "keen",
  "lucid",
  "quiet",
  "swift",
  "warm",
];
const SECOND = [
  "bohr",
  "curie",
  "dirac",
  "euler",
  "fermi",
  "gauss",
  "hopper",
  "kepler",
  "lovelace",
  "noether",
  "turing",
];
const NUMBERS = 10_000;

/** A name for what its user gave none, such as `brave_curie_4711`. */
export function randomName(): string {
  const one = (words: string[]) => words[randomInt(words.length)]!;
  return `${one(FIRST)}_${one(SECOND)}_${randomInt(NUMBERS)}`;
}
