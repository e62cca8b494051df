// The door of `npm start`, `npm test` and `npm run build`: runs on any Node from 20.19 on, checks the machine, brings
// dependencies and native programs up to date, then hands over to the pinned Node with the named program of tools/.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const node = join(root, "node_modules/.bin/node");
const [command = "start", ...args] = process.argv.slice(2);

const fail = (sentence) => {
  console.error(`creel: ${sentence}`);
  process.exit(1);
};

function checkMachine() {
  if (process.platform !== "linux")
    fail(`Linux is needed: containers are the kernel's (this is ${process.platform})`);
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    fail(`Node 20.19 or newer is needed (this is ${process.versions.node})`);
  if (command !== "build" && process.getuid() !== 0) {
    fail("root is needed to make namespaces, mounts and cgroups: run it as root, for example with sudo -E");
  }
  const cargo = spawnSync("cargo", ["--version"], { encoding: "utf8" });
  if (cargo.status !== 0)
    fail("a Rust toolchain is needed: install it from https://rustup.rs, then run this again");
  if (spawnSync("cc", ["--version"]).status !== 0) {
    fail(
      "a C compiler is needed to link the native programs: install gcc (Debian: apt-get install gcc libc6-dev)",
    );
  }
}

/** Runs a program, its output behind one line that tells how long it has taken; shows the output only when it fails. */
function step(title, program, programArgs, options = {}) {
  return new Promise((resolve) => {
    const started = Date.now();
    const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`;
    const live = process.stderr.isTTY;
    let output = "";
    let last = "";
    if (!live) console.error(`· ${title} …`);
    const show = () =>
      live &&
      process.stderr.write(
        `\r\x1b[K· ${title} … ${seconds()} ${last}`.slice(0, process.stderr.columns ?? 100),
      );
    const timer = setInterval(
      () => (live ? show() : console.error(`· ${title} … ${seconds()} ${last}`)),
      live ? 250 : 20_000,
    );
    const child = spawn(program, programArgs, { cwd: root, stdio: ["ignore", "pipe", "pipe"], ...options });
    const keep = (chunk) => {
      output = (output + chunk).slice(-20_000);
      last = output.trimEnd().split("\n").at(-1)?.trim().slice(0, 60) ?? "";
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const end = (error) => {
      clearInterval(timer);
      if (live) process.stderr.write("\r\x1b[K");
      if (error) {
        console.error(output);
        fail(`${title} failed (${error}): its output stands above; mend that and run the same command again`);
      }
      console.error(`✓ ${title} (${seconds()})`);
      resolve();
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code) => end(code === 0 ? undefined : `exit status ${code}`));
  });
}

const NATIVE_SOURCES = /\.(rs|toml|lock|proto|json|bpf)$/;

/** A digest of the files below the named paths; what is built of them is built again only when it changes. */
function digest(paths, names = NATIVE_SOURCES) {
  const hash = createHash("sha256");
  const visit = (path) => {
    for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    )) {
      if (["target", "node_modules", "test", "tests"].includes(entry.name)) continue;
      const full = join(path, entry.name);
      if (entry.isDirectory()) visit(full);
      else if (names.test(entry.name)) hash.update(relative(root, full)).update(readFileSync(full));
    }
  };
  for (const path of paths) visit(join(root, path));
  return hash.digest("hex");
}

const stampDir = join(root, "node_modules/.creel");
const fresh = (name, value, outputs) =>
  outputs.every((path) => existsSync(join(root, path))) &&
  existsSync(join(stampDir, name)) &&
  readFileSync(join(stampDir, name), "utf8") === value;
function stamp(name, value) {
  mkdirSync(stampDir, { recursive: true });
  writeFileSync(join(stampDir, name), value);
}

async function installDependencies() {
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  if (fresh("npm", lock, ["node_modules/.bin/node"])) return;
  await step("installing npm dependencies", "npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  stamp("npm", lock);
}

async function buildAddon() {
  const value = digest(["node-raft-server"]);
  if (fresh("raft", value, ["node-raft-server/raft.node"])) return;
  const cwd = join(root, "node-raft-server");
  await step(
    "building the Raft server (first time: about two minutes on two cores)",
    "cargo",
    ["build", "--release", "--locked"],
    { cwd },
  );
  const built = join(process.env.CARGO_TARGET_DIR ?? join(cwd, "target"), "release/libnode_raft_server.so");
  copyFileSync(built, join(cwd, "raft.node.new"));
  renameSync(join(cwd, "raft.node.new"), join(cwd, "raft.node"));
  stamp("raft", value);
}

async function buildPrograms() {
  const value = digest(["runtime-native", "proto"]);
  const programs = ["creel-engine", "creel-runtime", "creel-shim", "creel-lab", "whoami"].map(
    (name) => `runtime-native/target/release/${name}`,
  );
  if (fresh("native", value, programs)) return;
  const cwd = join(root, "runtime-native");
  const env = { ...process.env };
  delete env.CARGO_TARGET_DIR;
  await step(
    "building engine, runtime, shim and lab (first time: about eight minutes on two cores)",
    "cargo",
    ["build", "--release", "--locked"],
    { cwd, env },
  );
  await step(
    "building the whoami server, static",
    "cargo",
    [
      "rustc",
      "--release",
      "--locked",
      "-p",
      "creel-whoami",
      "--bin",
      "whoami",
      "--",
      "-C",
      "target-feature=+crt-static",
    ],
    { cwd, env },
  );
  stamp("native", value);
}

/** Makes `build/NAME` of a program in TypeScript, unless its outputs are there and the sources below the folders are the same. */
async function bundle(name, main, sources, outputs, how) {
  const lock = readFileSync(join(root, "package-lock.json"));
  const value = createHash("sha256").update(digest(sources, /\.ts$/)).update(lock).digest("hex");
  if (fresh(name, value, outputs)) {
    // A change of branches and back leaves the same sources with newer times, which bin/ goes by.
    for (const file of outputs) utimesSync(join(root, file), new Date(), new Date());
    return;
  }
  const out = `build/${name}`;
  rmSync(join(root, out), { recursive: true, force: true });
  await step(`bundling ${name}`, join(root, "node_modules/.bin/esbuild"), [
    main,
    ...["--bundle", "--platform=node", `--outdir=${out}`, "--log-level=warning"],
    // names stay, so that a stack says where
    ...["--minify-whitespace", "--minify-syntax", "--sourcemap", "--sources-content=false"],
    ...how,
  ]);
  stamp(name, value);
}

/** creeld in three files: a fifth of its memory is what a thousand modules take (docs/performance.md). */
async function bundleDaemon() {
  const sources = ["shared", "node-raft-server/src", "manager", "worker", "api", "daemon"];
  // libraries in CommonJS ask for Node's own modules by require
  const banner =
    'import{createRequire as requireFrom}from"node:module";const require=requireFrom(import.meta.url);';
  const how = ["--format=esm", "--splitting", "--out-extension:.js=.mjs", `--banner:js=${banner}`];
  await bundle("creeld", "daemon/src/main.ts", sources, ["build/creeld/main.mjs"], how);
  const addon = join(root, "build/creeld/raft.node");
  if (!existsSync(addon)) symlinkSync("../../node-raft-server/raft.node", addon);
}

/** creel in one file, and in CommonJS: of its start, a sixth is looking for modules (docs/performance.md). */
async function bundleClient() {
  const how = ["--format=cjs", "--out-extension:.js=.cjs"];
  await bundle("creel", "cli/src/main.ts", ["shared", "cli"], ["build/creel/main.cjs"], how);
}

checkMachine();
await installDependencies();
await buildAddon();
await buildPrograms();
await bundleDaemon();
await bundleClient();
if (command !== "build") {
  const child = spawn(node, [join(root, `tools/${command}.ts`), ...args], { cwd: root, stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
}
