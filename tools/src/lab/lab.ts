import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Rest } from "../rest.ts";
import { native, root } from "../root.ts";
import { removeCgroups, thawCgroups } from "./cgroups.ts";
import {
  hostProcesses,
  isUp,
  type LabNode,
  type LabState,
  readState,
  removeState,
  startTimeOf,
  writeState,
} from "./state.ts";

/** UNIX socket paths are bounded by the kernel: 107 characters, and `/node200/creel.sock` is made below this. */
const LONGEST_DIR = 80;
/** Where hosts keep what need not outlive them: in memory, as a machine's /run is. */
export const MEMORY = "/dev/shm";
const READY_MS = 30_000;

export interface LabOptions {
  dir: string;
  nodes: number;
  managers: number;
  /** Form one cluster of the hosts. */
  join: boolean;
  /** More flags for each creeld. */
  flags?: string[];
  /** Told what is going on, a line at a time. */
  progress?: (line: string) => void;
}

/** Hosts out of network, mount, UTS, IPC and PID namespaces on a bridge, each with a real creeld and creel-engine. */
export class Lab {
  readonly dir: string;
  #state: LabState;

  private constructor(dir: string, state: LabState) {
    this.dir = dir;
    this.#state = state;
  }

  /** The lab whose folder this is. */
  static open(dir: string): Lab {
    const path = resolve(dir);
    const state = readState(path);
    if (state === undefined)
      throw new Error(`no lab in ${path}: make one with \`tools/lab up --dir ${dir}\``);
    return new Lab(path, state);
  }

  /** Makes a lab; what was made is taken down again when a step fails. */
  static async up(options: LabOptions): Promise<Lab> {
    const dir = resolve(options.dir);
    if (process.getuid?.() !== 0) throw new Error("a lab needs root: it makes namespaces and a bridge");
    if (dir.length > LONGEST_DIR)
      throw new Error(`${dir} is too long for UNIX sockets: at most ${LONGEST_DIR} characters`);
    if (readState(dir) !== undefined)
      throw new Error(`there is a lab in ${dir} already: \`tools/lab down --dir ${dir}\` ends it`);
    if (options.managers < 1 || options.managers > options.nodes) {
      throw new Error(`${options.managers} managers of ${options.nodes} nodes: at least 1, at most all`);
    }
    const id = randomBytes(3).toString("hex");
    const lab = new Lab(dir, { id, bridge: `lab-${id}`, prefix: "", nodes: [] });
    try {
      await lab.#make(options);
    } catch (error) {
      await lab.down().catch(() => {});
      throw error;
    }
    return lab;
  }

  get nodes(): readonly LabNode[] {
    return this.#state.nodes;
  }

  node(name: string): LabNode {
    const node = this.#state.nodes.find((each) => each.name === name);
    if (node === undefined) {
      throw new Error(
        `no node ${name} in this lab: there are ${this.#state.nodes.map((each) => each.name).join(", ")}`,
      );
    }
    return node;
  }

  /** The REST socket of a node. */
  socket(name: string): string {
    return join(this.dir, name, "creel.sock");
  }

  rest(name: string): Rest {
    return new Rest(this.socket(name));
  }

  /** The name of the bridge that joins the hosts. */
  get bridge(): string {
    return this.#state.bridge;
  }

  /** The cgroup below which all of the lab's containers are. */
  get cgroup(): string {
    return `creel-lab-${this.#state.id}`;
  }

  /** The folder in memory of all hosts' exec roots. */
  get execRoots(): string {
    return join(MEMORY, this.cgroup);
  }

  /** A node's exec root; `run` in its folder leads to it. */
  execRoot(name: string): string {
    return join(this.execRoots, name);
  }

  /** Runs a command on a node; its output and exit code. */
  exec(name: string, command: string[], input?: string): { code: number; stdout: string; stderr: string } {
    const result = spawnSync(native("creel-lab"), ["exec", String(this.#pid(name)), "--", ...command], {
      encoding: "utf8",
      input: input ?? "",
      maxBuffer: 64 << 20,
    });
    return { code: result.status ?? 1, stdout: result.stdout, stderr: result.stderr };
  }

  /** Like {@link exec} on this process's own terminal; the exit code. */
  execHere(name: string, command: string[]): number {
    const args = ["exec", String(this.#pid(name)), "--", ...command];
    return spawnSync(native("creel-lab"), args, { stdio: "inherit" }).status ?? 1;
  }

  /** The whole node is lost: all of its processes are gone at once. */
  async kill(name: string): Promise<void> {
    const node = this.node(name);
    if (isUp(node)) process.kill(node.pid, "SIGKILL");
    for (let wait = 0; isUp(node); wait++) {
      if (wait > 500) throw new Error(`${name} (process ${node.pid}) does not end`);
      if (wait % 50 === 10) thawCgroups(join(this.cgroup, name));
      await delay(20);
    }
    // The namespace takes the port with it in the end; the name must be free at once.
    this.#native(["port", "delete", node.port]);
    // as a machine that starts again has none
    await removeCgroups(join(this.cgroup, name));
  }

  /** Starts a node again, killed before where it runs; resolves when its daemon answers. */
  async restart(name: string): Promise<void> {
    await this.kill(name);
    await this.#start(this.node(name), []);
    await this.ready(name);
  }

  /** Takes a node off the network: it goes on, alone. */
  cut(name: string): void {
    this.#native(["port", "cut", this.node(name).port, this.#state.bridge]);
  }

  heal(name: string): void {
    this.#native(["port", "heal", this.node(name).port, this.#state.bridge]);
  }

  /** Resolves when the node's daemon answers. */
  async ready(name: string, within = READY_MS): Promise<void> {
    const rest = this.rest(name);
    const until = Date.now() + within;
    for (;;) {
      const error = await rest.call("GET", "/_ping", undefined, 2000).then(
        () => undefined,
        (e: Error) => e,
      );
      if (error === undefined) return;
      if (Date.now() > until) {
        throw new Error(
          `${name} does not answer (${error.message}); the end of its log:\n${this.#logTail(name)}`,
        );
      }
      await delay(50);
    }
  }

  /** Ends the lab; nothing of it is left, not even after a crash. Safe to call twice. */
  async down(): Promise<void> {
    const errors: Error[] = [];
    const attempt = async (work: () => Promise<void> | void) => {
      try {
        await work();
      } catch (error) {
        errors.push(error as Error);
      }
    };
    for (const node of this.#state.nodes) await attempt(() => this.kill(node.name));
    await attempt(() => this.#killUnnamed());
    await attempt(() => void this.#native(["bridge", "delete", this.#state.bridge]));
    await attempt(() => removeCgroups(this.cgroup));
    await attempt(() => rmSync(this.execRoots, { recursive: true, force: true, maxRetries: 5 }));
    for (const node of this.#state.nodes) {
      await attempt(() => rmSync(join(this.dir, node.name), { recursive: true, force: true, maxRetries: 5 }));
    }
    if (errors.length > 0) throw new AggregateError(errors, errors.map((error) => error.message).join("; "));
    removeState(this.dir);
  }

  #logTail(name: string): string {
    const file = join(this.dir, name, "creeld.log");
    return existsSync(file)
      ? readFileSync(file, "utf8").trimEnd().split("\n").slice(-10).join("\n")
      : "(no log)";
  }

  /** Hosts that were just being made when whoever made them was killed. */
  async #killUnnamed(): Promise<void> {
    for (let wait = 0; ; wait++) {
      const found = hostProcesses(this.#state.bridge);
      if (found.length === 0) break;
      if (wait > 250) throw new Error(`processes ${found.join(", ")} do not end`);
      for (const pid of found) killIfThere(pid);
      await delay(20);
    }
    for (const node of this.#state.nodes) this.#native(["port", "delete", node.port]);
  }

  async #make(options: LabOptions): Promise<void> {
    const say = options.progress ?? (() => {});
    this.#makeBridge();
    for (let i = 1; i <= options.nodes; i++) {
      const port = `lab-${this.#state.id}-${i}`;
      this.#state.nodes.push({
        name: `node${i}`,
        address: `${this.#state.prefix}.${10 + i}`,
        port,
        pid: 0,
        startTime: "",
      });
    }
    writeState(this.dir, this.#state);
    await Promise.all(this.#state.nodes.map((node) => this.#start(node, options.flags ?? [])));
    await Promise.all(this.#state.nodes.map((node) => this.ready(node.name)));
    say(
      `${options.nodes} hosts run on bridge ${this.#state.bridge}: ${this.#state.nodes.map((node) => `${node.name} ${node.address}`).join(", ")}`,
    );
    if (options.join) await this.#join(options.managers, say);
  }

  /** A /24 of 10.213.0.0/16 that no interface and no other lab has; the kernel refuses a bridge name that is taken. */
  #makeBridge(): void {
    const taken = new Set(
      Object.values(networkInterfaces())
        .flat()
        .map((each) => each!.address.split(".").slice(0, 3).join(".")),
    );
    const first = Number.parseInt(this.#state.id.slice(0, 2), 16) % 250;
    for (let k = 0; k < 250; k++) {
      const prefix = `10.213.${(first + k) % 250}`;
      if (taken.has(prefix)) continue;
      this.#state.prefix = prefix;
      writeState(this.dir, this.#state);
      this.#native(["bridge", "add", this.#state.bridge, `${prefix}.1/24`]);
      return;
    }
    throw new Error("all 250 networks for labs are taken: end some with `tools/lab down`");
  }

  async #start(node: LabNode, flags: string[]): Promise<void> {
    const home = join(this.dir, node.name);
    mkdirSync(home, { recursive: true });
    const flagsFile = join(home, "flags.json");
    const kept =
      flags.length === 0 && existsSync(flagsFile)
        ? (JSON.parse(readFileSync(flagsFile, "utf8")) as string[])
        : flags;
    writeFileSync(flagsFile, JSON.stringify(kept));
    const execRoot = this.execRoot(node.name);
    const run = join(home, "run");
    for (const path of [execRoot, run]) rmSync(path, { recursive: true, force: true });
    mkdirSync(execRoot, { recursive: true });
    symlinkSync(execRoot, run);
    const creeld = [
      join(root, "bin/creeld"),
      ["--data-root", join(home, "data")],
      ["--exec-root", execRoot],
      ["--host", `unix://${this.socket(node.name)}`],
      ["--pidfile", join(home, "creeld.pid")],
      ["--cgroup-parent", `/${this.cgroup}/${node.name}`],
      kept,
    ].flat();
    const pid = this.#native([
      "host",
      ...["--name", node.name, "--bridge", this.#state.bridge, "--port", node.port],
      ...[
        "--address",
        `${node.address}/24`,
        "--gateway",
        `${this.#state.prefix}.1`,
        "--log",
        join(home, "creeld.log"),
      ],
      "--",
      ...creeld,
    ]);
    node.pid = Number(pid);
    node.startTime = startTimeOf(node.pid) ?? "";
    writeState(this.dir, this.#state);
  }

  async #join(managers: number, say: (line: string) => void): Promise<void> {
    const [first, ...others] = this.#state.nodes;
    const rest = this.rest(first!.name);
    await rest.post("/swarm/init", { ListenAddr: "0.0.0.0:2377", AdvertiseAddr: `${first!.address}:2377` });
    const { JoinTokens } = await rest.get<{ JoinTokens: { Manager: string; Worker: string } }>("/swarm");
    say(`${first!.name} has made a cluster`);
    for (const [i, node] of others.entries()) {
      const manager = i + 1 < managers;
      await this.rest(node.name).post("/swarm/join", {
        ListenAddr: "0.0.0.0:2377",
        AdvertiseAddr: `${node.address}:2377`,
        RemoteAddrs: [`${first!.address}:2377`],
        JoinToken: manager ? JoinTokens.Manager : JoinTokens.Worker,
      });
      say(`${node.name} has joined as a ${manager ? "manager" : "worker"}`);
    }
    await this.#allReady(rest);
  }

  async #allReady(rest: Rest): Promise<void> {
    const until = Date.now() + READY_MS;
    for (;;) {
      const nodes =
        await rest.get<{ Status: { State: string }; Description: { Hostname: string } }[]>("/nodes");
      const waiting = nodes.filter((node) => node.Status.State !== "ready");
      if (nodes.length === this.#state.nodes.length && waiting.length === 0) return;
      if (Date.now() > until) {
        throw new Error(
          `not ready after ${READY_MS / 1000} s: ${waiting.map((node) => node.Description.Hostname).join(", ")}`,
        );
      }
      await delay(100);
    }
  }

  #pid(name: string): number {
    const node = this.node(name);
    if (!isUp(node))
      throw new Error(`${name} is down: \`tools/lab restart --dir ${this.dir} ${name}\` starts it`);
    return node.pid;
  }

  #native(args: string[]): string {
    return execFileSync(native("creel-lab"), args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trim();
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
