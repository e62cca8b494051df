import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { debianRoot } from "./root.ts";

// Emulated, since many a machine has a /dev/kvm that does not work. A plain processor and one of it: protection keys make
// V8 crawl there, and a second processor waits in spin locks.
const MEMORY = "1280M";
const LONGEST_MS = 900_000;

/** How one check of the guest ended. */
export interface Outcome {
  ok: boolean;
  detail: string;
}

/** What came out of a machine that was booted, checked and switched off. */
export interface Report {
  outcomes: Map<string, Outcome>;
  /** Answers that this machine, outside of the guest, got from the port it forwards to the guest's 8080. */
  fromOutside: string[];
  /** The end of the guest's console. */
  console: string;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** The guest's lines: `ok NAME`, or `not ok NAME` and below it what went wrong, each line after `# `. */
function parseLines(lines: string[]): Map<string, Outcome> {
  const outcomes = new Map<string, Outcome>();
  let last: Outcome | undefined;
  for (const raw of lines) {
    const line = raw.replace(/\r$/, "");
    const [, not, name] = /^(not )?ok \d+ - (.*)$/.exec(line) ?? [];
    if (name !== undefined) {
      last = { ok: not === undefined, detail: "" };
      outcomes.set(name, last);
    } else if (line.startsWith("# ") && last) last.detail += `${line.slice(2)}\n`;
  }
  return outcomes;
}

/** What the kernel is told beside what it is always told: which cgroups systemd mounts. */
export const KERNEL = {
  v2: "",
  v1: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
};

/** Boots Debian with this checkout, lets it run its checks, and resolves when it is off. */
export async function bootAndCheck(checkout: string, kernel: string): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), "creel-vm-"));
  try {
    const root = debianRoot();
    const port = await freePort();
    const log = join(directory, "console");
    const child = spawn(
      "qemu-system-x86_64",
      [
        ["-nodefaults", "-no-reboot", "-display", "none", "-m", MEMORY, "-smp", "1"],
        ["-machine", "q35", "-accel", "tcg", "-cpu", "Westmere"],
        ["-kernel", root.kernel, "-initrd", root.initrd],
        [
          "-append",
          `root=LABEL=creel-root rw console=ttyS0 quiet systemd.unit=creel-check.target net.ifnames=0 mitigations=off ${kernel}`,
        ],
        ["-drive", `file=${root.disk},format=raw,if=virtio,snapshot=on`],
        ["-drive", `file=${checkout},format=raw,if=virtio,readonly=on`],
        ["-netdev", `user,id=outside,restrict=on,hostfwd=tcp:127.0.0.1:${port}-:8080`],
        ["-device", "virtio-net-pci,netdev=outside", "-device", "virtio-rng-pci"],
        ["-serial", `file:${log}`, "-serial", "stdio"],
      ].flat(),
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const lines: string[] = [];
    const fromOutside: string[] = [];
    const live = process.env.CREEL_VM_VERBOSE !== undefined;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        if (live) console.log(line);
      });
    }
    const asking = setInterval(() => {
      fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5000) })
        .then((answer) => answer.text())
        .then((text) => fromOutside.push(text))
        .catch(() => {});
    }, 1000);
    const overdue = setTimeout(() => child.kill("SIGKILL"), LONGEST_MS);
    const stop = () => child.kill("SIGKILL");
    process.once("exit", stop);
    try {
      await new Promise<void>((resolve, reject) => {
        child.once("error", reject);
        child.once("close", () => resolve());
      });
    } finally {
      clearInterval(asking);
      clearTimeout(overdue);
      process.off("exit", stop);
    }
    const said = existsSync(log) ? readFileSync(log, "utf8") : "";
    return {
      outcomes: parseLines(lines),
      fromOutside,
      console: `${said.slice(-4000)}\n${lines.slice(-40).join("\n")}`,
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
