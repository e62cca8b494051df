import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./wait.ts";

const PROMPT = "ready>";

/** A real terminal: a shell in tmux, which is typed into and looked at. */
export class Terminal {
  readonly #dir = mkdtempSync(join(tmpdir(), "ce-tmux-"));
  readonly width: number;

  constructor(width: number, env: Record<string, string>, shell = ["/bin/sh"]) {
    this.width = width;
    const vars = Object.entries({ ...env, PS1: PROMPT }).map(([key, value]) => `${key}=${value}`);
    const size = ["-x", String(width), "-y", "40"];
    this.#tmux("-f", "/dev/null", "new-session", "-d", ...size, "env", ...vars, ...shell);
  }

  /** Types a line, and Enter. */
  type(line: string): void {
    this.#tmux("send-keys", "-l", line);
    this.#tmux("send-keys", "Enter");
  }

  /** Presses keys by tmux's names: C-p, Enter. */
  press(...keys: string[]): void {
    this.#tmux("send-keys", ...keys);
  }

  /** Kills what runs in the foreground, with no chance to clean up. */
  killForeground(): void {
    const shell = this.#tmux("display-message", "-p", "#{pane_pid}").trim();
    const [, fields = ""] = readFileSync(`/proc/${shell}/stat`, "utf8").split(") ");
    const group = Number(fields.split(" ")[5]);
    assert.notEqual(group, Number(shell), "nothing runs in the foreground");
    process.kill(-group, "SIGKILL");
  }

  /** What is on the screen now; lines that the terminal broke are two. */
  screen(): string {
    return this.#tmux("capture-pane", "-p").trimEnd();
  }

  /** The screen with its colours, as escape sequences. */
  coloured(): string {
    return this.#tmux("capture-pane", "-p", "-e").trimEnd();
  }

  /** Gives the terminal another size. */
  resize(width: number, height: number): void {
    this.#tmux("resize-window", "-x", String(width), "-y", String(height));
  }

  clear(): void {
    this.#tmux("send-keys", "C-l");
    this.#tmux("clear-history");
  }

  /** Waits until the screen matches, and gives it back. */
  async shows(pattern: RegExp): Promise<string> {
    let last = "";
    return await until(`${pattern} on the screen`, async () => {
      last = this.screen();
      return pattern.test(last) && last;
    }).catch((error: Error) => assert.fail(`${error.message}; it shows:\n${last}`));
  }

  /** Types a command, waits until it has ended, and gives back its output and exit status. */
  async run(command: string): Promise<{ output: string; status: number }> {
    this.type(`clear; ${command}; echo "status=$?"`);
    const screen = await this.shows(/^status=\d+$/m);
    const [, output = "", status] = /^([\s\S]*?)^status=(\d+)$/m.exec(screen)!;
    return { output: output.trimEnd(), status: Number(status) };
  }

  close(): void {
    this.#tmux("kill-server");
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #tmux(...args: string[]): string {
    const result = spawnSync("tmux", ["-S", join(this.#dir, "s"), ...args], { encoding: "utf8" });
    if (result.error !== undefined)
      throw new Error("tmux is missing: apt-get install tmux", { cause: result.error });
    assert.equal(result.status, 0, `tmux ${args.join(" ")}: ${result.stderr}`);
    return result.stdout;
  }
}
