import { paint } from "./style.ts";
import { cut } from "./table.ts";

/** Progress on standard output: on a terminal a few lines that change in place; else a line whenever the first changes. */
export class Block {
  readonly #quiet: boolean;
  readonly #terminal: boolean;
  #lines = 0;
  #before = "";
  constructor(quiet: boolean) {
    this.#quiet = quiet;
    this.#terminal = Boolean(process.stdout.isTTY) && process.env.TERM !== "dumb";
  }

  show(headline: string, details: string[]): void {
    const text = [headline, ...details].join("\n");
    if (this.#quiet || text === this.#before) return;
    if (!this.#terminal) {
      process.stdout.write(`${[headline, ...details].join("; ")}\n`);
    } else {
      this.#draw([headline, ...details.map((line) => `  ${line}`)]);
    }
    this.#before = text;
  }

  /** The last words; on a terminal they take the place of what was shown. */
  end(lines: string[]): void {
    if (this.#quiet) return;
    if (!this.#terminal) {
      if (lines.join("\n") !== this.#before) process.stdout.write(`${lines.join("\n")}\n`);
      return;
    }
    this.#draw(lines);
    this.#lines = 0;
  }

  #draw(lines: string[]): void {
    const width = (process.stdout.columns || 80) - 1;
    const up = this.#lines > 0 ? `\x1b[${this.#lines}A` : "";
    const text = lines.map((line, i) => {
      const own = cut(line, width);
      return i === 0 ? own : paint("dim", own);
    });
    process.stdout.write(`${up}\r\x1b[J${text.join("\n")}\n`);
    this.#lines = lines.length;
  }
}
