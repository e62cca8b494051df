// All checks and tests of the checkout, the fast ones first. The last line adds up all runners.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "./src/root.ts";

const bin = (name: string) => join(root, "node_modules/.bin", name);
const mocha = (...globs: string[]) => [bin("node"), join(root, "node_modules/mocha/bin/mocha.js"), ...globs];
const native = join(root, "runtime-native");
const raft = join(root, "node-raft-server");

/** Emulates whole machines, on one core, for minutes. */
const VM = "e2e/test/vm.test.ts";
/** Compiles a suite in Go, then makes hundreds of containers. */
const VALIDATION = "e2e/test/oci/validation.test.ts";

interface Stage {
  name: string;
  command: string[];
  cwd?: string;
}

const cargo = (name: string, cwd: string, ...command: string[]): Stage => ({
  name,
  cwd,
  command: ["cargo", ...command],
});
const test = ["test", "--release", "--locked", "-q", "--workspace"];
/** Without examples, which clippy sees, and documentation, which has none. */
const all = [...test, "--tests"];
const clippy = [
  "clippy",
  "--release",
  "--locked",
  "--workspace",
  "--all-targets",
  "-q",
  "--",
  "-D",
  "warnings",
];

const stages: Stage[] = [
  { name: "tidy", command: [bin("node"), join(root, "tools/src/tidy/main.ts")] },
  { name: "types", command: [bin("tsc"), "-p", root] },
  { name: "format and lint", command: [bin("biome"), "ci", "--error-on-warnings", "."] },
  { name: "generated code is fresh", command: [bin("node"), join(root, "tools/generate.ts"), "--check"] },
  { name: "dependencies", command: [bin("node"), join(root, "tools/deny.ts")] },
  cargo("rustfmt", native, "fmt", "--check"),
  cargo("rustfmt (raft)", raft, "fmt", "--check"),
  {
    name: "unit tests",
    command: mocha(
      "{shared,node-raft-server,manager,worker,sim,api,daemon,cli,tools,bench}/test/**/*.test.ts",
    ),
  },
  {
    name: "end to end: clusters",
    command: mocha("e2e/test/{*,cluster/*,faults/*}.test.ts", "--ignore", VM),
  },
  { name: "end to end: services", command: mocha("e2e/test/services/**/*.test.ts") },
  {
    name: "end to end: containers",
    command: mocha(
      "e2e/test/*/**/*.test.ts",
      ...["cluster", "faults", "services"].flatMap((folder) => ["--ignore", `e2e/test/${folder}/**`]),
      "--ignore",
      VALIDATION,
    ),
  },
  cargo("cargo test (raft)", raft, ...all),
  cargo("cargo test", native, ...all),
  cargo("a container beside runc's", native, ...test, "--test", "shim", "peer", "--", "--ignored"),
];

/** What compiles while the tests above mostly wait, with a lower priority; cargo's own lock keeps the order. */
const beside: Stage[] = [
  cargo("compile cargo tests (raft)", raft, ...all, "--no-run"),
  cargo("compile cargo tests", native, ...all, "--no-run"),
  cargo("clippy (raft)", raft, ...clippy),
  cargo("clippy", native, ...clippy),
]
  .concat({ name: "simulation", command: [bin("node"), join(root, "sim/src/main.ts"), "--seeds", "200"] })
  .map((stage) => ({ ...stage, command: ["nice", "-n", "10", ...stage.command] }))
  .concat([
    { name: "systemd with cgroup v2 and v1, in VMs", command: mocha(VM) },
    { name: "OCI validation", command: mocha(VALIDATION) },
  ]);

/** Passed and failed tests by a runner's own closing lines; undefined where it has none. */
function counted(output: string): { passed: number; failed: number } | undefined {
  const sum = (pattern: RegExp) =>
    [...output.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
  const passed = sum(/^\s*(\d+) passing/gm) + sum(/^test result: \w+\. (\d+) passed/gm);
  const failed = sum(/^\s*(\d+) failing/gm) + sum(/^test result: \w+\. \d+ passed; (\d+) failed/gm);
  return passed + failed > 0 ? { passed, failed } : undefined;
}

/** What a runner's output says of its failures: mocha's and cargo's list of them, else the last lines. */
function failuresIn(output: string): string {
  const list = output.search(/^\s*\d+ failing$|^failures:$/m);
  return output.slice(list < 0 ? -2_000 : list).trim();
}

/** Runs a stage; its output as it comes, or with `later` at its end. */
function run(stage: Stage, later: boolean): Promise<{ passed: number; failed: number; output: string }> {
  return new Promise((resolve) => {
    const started = Date.now();
    if (!later) console.log(`\n▶ ${stage.name}`);
    const env = { ...process.env };
    delete env.CARGO_TARGET_DIR;
    const [program, ...args] = stage.command;
    const child = spawn(program!, args, { cwd: stage.cwd ?? root, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const show = (chunk: Buffer | string) => {
      output += chunk;
      if (!later) process.stdout.write(chunk);
    };
    child.stdout.on("data", show);
    child.stderr.on("data", show);
    child.on("error", (error) => show(`${error.message}\n`));
    child.on("close", (code) => {
      const count = counted(output) ?? { passed: code === 0 ? 1 : 0, failed: 0 };
      if (code !== 0 && count.failed === 0) count.failed = 1;
      if (later && count.failed > 0) console.log(`\n▶ ${stage.name}\n${output}`);
      const took = Math.round((Date.now() - started) / 1000);
      console.log(`${count.failed === 0 ? "✓" : "✗"} ${stage.name} (${took} s)`);
      resolve({ ...count, output });
    });
  });
}

/** Debian packages that tests use beside the product; installed where they are missing, and said first. */
function installPackages(): void {
  const wanted = [
    { program: "dockerd", packages: ["docker.io"] },
    { program: "busybox", packages: ["busybox-static"] },
    { program: "tmux", packages: ["tmux"] },
    { program: "mkfs.btrfs", packages: ["btrfs-progs"] },
    { program: "getfattr", packages: ["attr"] },
    { program: "nft", packages: ["nftables"] },
    { program: "zsh", packages: ["zsh"] },
    { program: "fish", packages: ["fish"] },
    { program: "runc", packages: ["runc"] },
    { program: "podman", packages: ["podman"] },
    { program: "go", packages: ["golang-go"] },
    { program: "skopeo", packages: ["skopeo"] },
    { program: "umoci", packages: ["umoci"] },
    { program: "mmdebstrap", packages: ["mmdebstrap"] },
    { program: "qemu-system-x86_64", packages: ["qemu-system-x86"] },
  ];
  const path = (process.env.PATH ?? "").split(":");
  const missing = wanted.filter(({ program }) => !path.some((dir) => existsSync(join(dir, program))));
  if (missing.length === 0) return;
  const packages = missing.flatMap((each) => each.packages);
  console.log(`tests need Debian packages that are missing here: apt-get install ${packages.join(" ")}`);
  spawnSync("apt-get", ["update", "-q"], { stdio: "inherit" });
  spawnSync("apt-get", ["install", "-yq", "--no-install-recommends", ...packages], { stdio: "inherit" });
}

const only = process.argv.slice(2);
const total = { passed: 0, failed: 0 };
const failures: string[] = [];

const asked = (stage: Stage) => only.length === 0 || only.some((word) => stage.name.includes(word));

/** Runs what `next` gives until there is no more. */
async function runAll(next: () => Stage | undefined, later: boolean): Promise<void> {
  for (let stage = next(); stage !== undefined; stage = next()) {
    const { passed, failed, output } = await run(stage, later);
    total.passed += passed;
    total.failed += failed;
    if (failed > 0) failures.push(`✗ ${stage.name}\n${failuresIn(output)}`);
  }
}

installPackages();
const first = stages.filter(asked);
const second = beside.filter(asked);
// Whoever is done with what compiles and emulates takes the others' last stages.
await Promise.all([runAll(() => first.shift(), false), runAll(() => second.shift() ?? first.pop(), true)]);
for (const failure of failures) console.log(`\n${failure}`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
