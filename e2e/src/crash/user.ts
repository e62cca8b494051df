import assert from "node:assert/strict";
import { type Rest, RestError } from "../../../tools/src/rest.ts";
import type { Random } from "../random.ts";
import { until } from "../wait.ts";
import { errands } from "./errands.ts";
import type { Killer } from "./killer.ts";

/** Where a user's container stands. */
type Stand = "absent" | "created" | "running" | "exited";
type Answer = "done" | "refused" | "lost";

/** What a user can ask for, and where the container may stand after an answer that did not come. */
interface Wish {
  name: string;
  ask: () => Promise<unknown>;
  after: Stand;
  otherwise: Stand[];
}

/** The first byte of a frame of standard error; a command that could not be started says so there. */
const STDERR = 2;
const PATIENCE_MS = 30_000;
/** An operation whose caller went away may go on for so long in an engine that was not killed. */
const GOES_ON_MS = 1500;

/**
 * Somebody with one container, who asks for one thing after another and remembers every answer. Each look at the
 * container must agree with what was acknowledged; what was not acknowledged may have happened or not.
 */
export class User {
  readonly #rest: Rest;
  readonly #random: Random;
  readonly #killer: Killer;
  readonly #name: string;
  readonly #spec: object;
  readonly #restarts: boolean;
  #possible = new Set<Stand>(["absent"]);
  #id = "";
  #stopAsked = false;
  /** What the container's file may say. */
  #content = new Set([""]);
  #count = 0;
  /** How it was answered, and how often. */
  readonly answers: Record<Answer, number> = { done: 0, refused: 0, lost: 0 };
  /** Acknowledged images, and what their file says. */
  readonly #images = new Map<string, Set<string>>();
  /** Images whose removal was asked for. */
  readonly #leaving = new Set<string>();
  readonly #history: string[] = [];

  /** `spec`: what its container is created from; `restarts`: with the policy `unless-stopped`. */
  constructor(name: string, spec: object, restarts: boolean, rest: Rest, random: Random, killer: Killer) {
    this.#name = name;
    this.#spec = spec;
    this.#restarts = restarts;
    this.#rest = rest;
    this.#random = random;
    this.#killer = killer;
  }

  /** Asks for one thing, and looks. */
  async step(): Promise<void> {
    const stand = await this.look();
    const wishes = this.#wishes(stand);
    const wish = this.#oneOf(wishes);
    const { kills } = this.#killer;
    const before = { ...kills };
    const answer = await this.#ask(wish);
    this.answers[answer]++;
    this.#history.push(`${wish.name}: ${answer}`);
    if (answer === "done") this.#possible = new Set([wish.after]);
    else {
      const disturbed = kills.shim !== before.shim || this.#killer.orphans.has(this.#id);
      if (answer === "refused" && !disturbed) this.#fail(`${wish.name} of one that is ${stand} was refused`);
      this.#possible = new Set(wish.otherwise);
      if (kills.engine === before.engine) {
        const over = async () => (await this.#inspect()) === wish.after;
        await until("it has gone on", over, GOES_ON_MS).catch(() => {});
      }
    }
  }

  /** Where the container stands now. Fails where that is not what was acknowledged. */
  async look(): Promise<Stand> {
    const stand = await this.#inspect();
    const may = new Set(this.#possible);
    const ended = this.#killer.orphans.has(this.#id) && may.has("running");
    if (ended && (!this.#restarts || this.#stopAsked)) may.add("exited");
    if (this.#restarts && may.has("exited") && !this.#stopAsked) may.add("running");
    if (!may.has(stand)) this.#fail(`it is ${stand}, not ${[...may].join(" or ")}`);
    if (stand === "exited") this.#killer.orphans.delete(this.#id);
    if (stand === "absent") this.#content = new Set([""]);
    this.#possible = new Set([stand]);
    return stand;
  }

  /** Removes the container and its images; each acknowledged image is there and says what it should. */
  async leave(): Promise<void> {
    if ((await this.look()) !== "absent") {
      await this.#remove();
      this.#possible = new Set(["absent"]);
      await this.look();
    }
    for (const image of [...this.#images.keys()]) await this.#checkImage(image);
  }

  #oneOf<T>(all: T[]): T {
    return all[this.#random(all.length)]!;
  }

  #fail(what: string): never {
    assert.fail(`${this.#name}: ${what}; it was told: ${this.#history.slice(-8).join(", ")}`);
  }

  async #ask({ ask, name }: Wish): Promise<Answer> {
    try {
      await ask();
      return "done";
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      const { message } = error as Error;
      this.#history.push(`${name}: ${message}`);
      return error instanceof RestError && error.status < 500 ? "refused" : "lost";
    }
  }

  /** Asks until the daemon answers and the container is on its way nowhere. */
  #inspect(): Promise<Stand> {
    return until(
      `an answer about ${this.#name} (${this.#history.slice(-8).join(", ")})`,
      async () => {
        try {
          const { Id, State } = await this.#rest.get<{ Id: string; State: { Status: string } }>(
            `/containers/${this.#name}/json`,
          );
          this.#id = Id;
          if (["removing", "restarting", "paused"].includes(State.Status)) return undefined;
          return State.Status as Stand;
        } catch (error) {
          if (error instanceof RestError && error.status === 404) return "absent";
          throw error;
        }
      },
      PATIENCE_MS,
    );
  }

  #wishes(stand: Stand): Wish[] {
    const path = `/containers/${this.#name}`;
    const otherwise = (...stands: Stand[]) => stands;
    const started: Stand[] = ["created", "running", "exited"];
    const remove: Wish = {
      name: "remove",
      ask: () => this.#remove(),
      after: "absent",
      otherwise: otherwise("absent", stand, "exited"),
    };
    const start: Wish = {
      name: "start",
      ask: () => {
        this.#stopAsked = false;
        return this.#rest.post(`${path}/start`);
      },
      after: "running",
      otherwise: started,
    };
    const errand: Wish = {
      ...this.#oneOf(errands(this.#rest, this.#name, stand === "running")),
      after: stand,
      otherwise: otherwise(stand),
    };
    const commit = { name: "commit", ask: () => this.#commit(), after: stand, otherwise: otherwise(stand) };
    switch (stand) {
      case "absent":
        return [
          {
            name: "create",
            ask: () => this.#rest.post(`/containers/create?name=${this.#name}`, this.#spec),
            after: "created",
            otherwise: otherwise("absent", "created"),
          },
        ];
      case "created":
        return [start, start, start, errand, remove];
      case "exited":
        return [start, start, commit, errand, remove];
      case "running": {
        const stop: Wish = {
          name: "stop",
          ask: () => {
            this.#stopAsked = true;
            return this.#rest.post(`${path}/stop?t=${this.#random(2)}`);
          },
          after: "exited",
          otherwise: otherwise("running", "exited"),
        };
        const exec = { name: "exec", ask: () => this.#write(), after: stand, otherwise: otherwise(stand) };
        return [exec, exec, exec, errand, errand, commit, stop, remove];
      }
    }
  }

  #remove(): Promise<unknown> {
    this.#stopAsked = true;
    return this.#rest.delete(`/containers/${this.#name}?force=1&v=1`);
  }

  /** Reads the file in the container, and writes another number to it. */
  async #write(): Promise<void> {
    const next = String(++this.#count);
    const script = `cat /kept 2>/dev/null; echo ${next} > /kept`;
    const { Id } = await this.#rest.post<{ Id: string }>(`/containers/${this.#name}/exec`, {
      AttachStdout: true,
      Cmd: ["sh", "-c", script],
    });
    const before = new Set(this.#content);
    this.#content.add(next).add("");
    const output = await this.#rest.call<string>("POST", `/exec/${Id}/start`, { Detach: false });
    const { ExitCode } = await this.#rest.get<{ ExitCode: number | null }>(`/exec/${Id}/json`);
    if (ExitCode !== 0) throw new Error(`exec ended with ${ExitCode}`);
    if (output.charCodeAt(0) === STDERR) throw new Error(output.slice(8));
    const found = output.slice(8).trim();
    if (!before.has(found)) this.#fail(`its file says '${found}', not ${[...before].join(" or ")}`);
    this.#content = new Set([next]);
  }

  async #commit(): Promise<void> {
    const image = `${this.#name}:${++this.#count}`;
    const content = new Set(this.#content);
    await this.#rest.post(`/commit?container=${this.#name}&repo=${this.#name}&tag=${this.#count}`);
    this.#images.set(image, content);
    if (this.#images.size > 2) await this.#checkImage([...this.#images.keys()][0]!);
  }

  /** A container of the image has the file; then the image goes. */
  async #checkImage(image: string): Promise<void> {
    const content = this.#images.get(image)!;
    const name = `${this.#name}-image`;
    const path = `/containers/${name}`;
    const gone = (error: RestError) => {
      if (error.status !== 404) throw error;
    };
    await this.#rest.delete(`${path}?force=1&v=1`).catch(gone);
    try {
      await this.#rest.post(`/containers/create?name=${name}`, { Image: image });
    } catch (error) {
      if ((error as RestError).status !== 404 || !this.#leaving.delete(image)) throw error;
      this.#images.delete(image);
      return;
    }
    const archive = await this.#rest.get<string>(`${path}/archive?path=/kept`).catch(gone);
    // the one file's content begins in the archive's second block
    const found = archive?.slice(512).match(/^\d+/)?.[0] ?? "";
    if (!content.has(found)) this.#fail(`${image} says '${found}', not ${[...content].join(" or ")}`);
    await this.#rest.delete(`${path}?force=1&v=1`);
    this.#leaving.add(image);
    await this.#rest.delete(`/images/${image}`);
    this.#images.delete(image);
  }
}
