import { CreelError } from "@creel/shared/errors";

/** Where in a file something stands; lines and columns count from 1. */
export interface Place {
  file: string;
  line: number;
  column: number;
}

const SHOWN = 20;

/** What is wrong with the files of a stack: all of it, as a person does not like to be told one thing at a time. */
export class Problems {
  readonly #found: { place: Place | undefined; text: string }[] = [];
  /** What is not wrong but worth a word: keys that are ignored, variables that are not set. */
  readonly notes = new Set<string>();

  /** `path`: the key, as services.web.ports[0]. */
  add(place: Place | undefined, path: string, message: string, hint = ""): undefined {
    const text = [path, message].filter((part) => part !== "").join(": ") + (hint === "" ? "" : `; ${hint}`);
    this.#found.push({ place, text });
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  /** Throws one error that names all problems, by file and line; does nothing when there are none. */
  throwIfAny(): void {
    if (!this.any) return;
    const lines = this.#found
      .toSorted((a, b) => order(a.place, b.place))
      .map(({ place, text }) => (place ? `${place.file}:${place.line}:${place.column}: ${text}` : text));
    const shown = [...new Set(lines)];
    const more = shown.length - SHOWN;
    throw new CreelError("invalid_stack_file", {
      problems: [...shown.slice(0, SHOWN), ...(more > 0 ? [`and ${more} more`] : [])].join("\n"),
    });
  }
}

function order(a: Place | undefined, b: Place | undefined): number {
  if (!a || !b) return Number(Boolean(b)) - Number(Boolean(a));
  return a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column;
}

/** The known word that `word` was most likely meant to be. */
export function didYouMean(word: string, known: Iterable<string>): string {
  let best = "";
  let least = Math.min(3, Math.floor(word.length / 2) + 1);
  for (const each of known) {
    const far = distance(word, each);
    if (far < least) [best, least] = [each, far];
  }
  return best === "" ? "" : `did you mean ${best}?`;
}

/** How many letters must be changed, added, removed or swapped. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        next[j] = Math.min(next[j]!, before[j - 2]! + 1);
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
