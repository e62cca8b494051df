import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { busyboxBundle } from "./bundle.ts";

/** An OCI runtime's program, with a root below `dir` and the bundle of a container of its own. */
export class Runtime {
  readonly program: string;
  readonly id: string;
  readonly bundle: string;
  readonly #root: string;

  constructor(program: string, id: string, dir: string) {
    this.#root = join(dir, id);
    this.program = program;
    this.id = id;
    this.bundle = busyboxBundle(["sleep", "600"], (spec) => {
      const none = ["bounding", "effective", "permitted", "inheritable", "ambient"].map((set) => [set, []]);
      spec.process.capabilities = Object.fromEntries(none);
    });
    symlinkSync("busybox", join(this.bundle, "rootfs/bin/dd"));
    symlinkSync("busybox", join(this.bundle, "rootfs/bin/grep"));
  }

  /** Arguments with the root; ID and BUNDLE stand for its own. */
  args(args: string[]): string[] {
    const own = (arg: string) => arg.replaceAll("ID", this.id).replaceAll("BUNDLE", this.bundle);
    return ["--root", this.#root, ...args.map(own)];
  }

  /** Runs a command to its end. */
  call(args: string[], stdio: "pipe" | "ignore" = "pipe"): SpawnSyncReturns<string> {
    return spawnSync(this.program, this.args(args), {
      encoding: "utf8",
      timeout: 20_000,
      stdio: ["ignore", stdio, stdio],
    });
  }

  /** The status of its container. */
  status(): string {
    return JSON.parse(this.call(["state", "ID"]).stdout).status;
  }

  /** Removes its container and all that was made for it. */
  end(): void {
    this.call(["delete", "-f", "ID"]);
    rmSync(this.bundle, { recursive: true, force: true });
    rmSync(this.#root, { recursive: true, force: true });
  }
}
