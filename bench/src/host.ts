import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { isUp, startTimeOf } from "../../tools/src/lab/state.ts";
import { native } from "../../tools/src/root.ts";
import type { Cleanup } from "./cleanup.ts";

const lab = (...args: string[]) =>
  execFileSync(native("creel-lab"), args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();

/** A host that runs a peer: namespaces of its own, so that a peer's interfaces, rules and mounts stay in it. */
export interface PeerHost {
  address: string;
  /** Its process 1, as seen from outside. */
  pid: number;
  exec(command: string[], input?: string): string;
}

/** A bridge for hosts that run peers. */
export class PeerNetwork {
  readonly name = `cb-${randomBytes(3).toString("hex")}`;
  readonly gateway: string;
  #prefix: string;
  #cleanup: Cleanup;
  #count = 0;

  constructor(cleanup: Cleanup) {
    const taken = Object.values(networkInterfaces())
      .flat()
      .map((each) => each!.address);
    const free = [...Array(250).keys()].find((k) => !taken.some((a) => a.startsWith(`10.214.${k}.`)));
    if (free === undefined) throw new Error("all networks of 10.214.0.0/16 are taken");
    this.#prefix = `10.214.${free}`;
    this.#cleanup = cleanup;
    this.gateway = `${this.#prefix}.1`;
    cleanup.add(`bridge ${this.name}`, () => {
      if (existsSync(`/sys/class/net/${this.name}`)) lab("bridge", "delete", this.name);
    });
    lab("bridge", "add", this.name, `${this.gateway}/24`);
  }

  /** A host that keeps `command` running, its output in `log`. `command` hears of SIGTERM first when the bench ends. */
  host(command: string[], log: string): PeerHost {
    const number = ++this.#count;
    const address = `${this.#prefix}.${10 + number}`;
    const port = `${this.name}-${number}`;
    let init = { pid: 0, startTime: "" };
    this.#cleanup.add(`host ${port}`, () => end(port, init));
    const names = ["--name", `peer${number}`, "--bridge", this.name, "--port", port];
    const addresses = ["--address", `${address}/24`, "--gateway", this.gateway];
    const pid = Number(lab("host", ...names, ...addresses, "--log", log, "--", ...command));
    init = { pid, startTime: startTimeOf(pid) ?? "" };
    const exec = (words: string[], input = "") => {
      const done = spawnSync(native("creel-lab"), ["exec", String(pid), "--", ...words], {
        encoding: "utf8",
        input,
        timeout: 120_000,
      });
      if (done.status !== 0)
        throw new Error(`${words.join(" ")}: ${done.stderr.trim() || done.error?.message}`);
      return done.stdout;
    };
    return { address, pid, exec };
  }
}

async function end(port: string, init: { pid: number; startTime: string }): Promise<void> {
  const up = () => isUp({ ...init, name: port, address: "", port });
  if (up()) process.kill(init.pid, "SIGTERM");
  for (let wait = 0; up(); wait++) {
    // The init gives its command ten seconds.
    if (wait === 600) process.kill(init.pid, "SIGKILL");
    if (wait > 900) throw new Error(`process ${init.pid} does not end`);
    await delay(20);
  }
  if (existsSync(`/sys/class/net/${port}`)) lab("port", "delete", port);
}

/** The end of a log, for an error message. */
export function tail(log: string): string {
  return existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n").slice(-10).join("\n") : "(no log)";
}
