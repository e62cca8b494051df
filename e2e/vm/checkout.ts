import { cpSync, existsSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { whoamiImage } from "../../tools/src/image.ts";
import { native, root } from "../../tools/src/root.ts";
import { program } from "../src/cli.ts";
import { busyboxImage } from "../src/images.ts";
import { validationSuite } from "../src/validation.ts";
import { TESTS } from "./guest/validation.ts";
import { must } from "./must.ts";

const PROGRAMS = ["creel-engine", "creel-shim", "creel-runtime"];
const BUNDLE = join(root, "build/creeld");
const SOURCES = ["shared", "node-raft-server", "manager", "worker", "api", "daemon"];

/** Refuses a bundle that is not of these sources. */
function checkBundle(): void {
  const sources = SOURCES.map((folder) => join(root, folder, "src"));
  const { stdout, stderr } = program("find", [
    ...sources,
    "-newer",
    join(BUNDLE, "main.mjs"),
    "-print",
    "-quit",
  ]);
  if (stdout + stderr)
    throw new Error(`creeld is not built: run \`npm run build\` first (${stdout}${stderr})`);
}

function copyProgram(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  must("strip", "--strip-debug", "-o", to, from);
}

/**
 * Makes a disk of what this checkout runs: creeld as it was built with its Node, the native programs, the docker client of
 * this machine, images, and the guest's side of the checks.
 */
export async function checkoutDisk(disk: string): Promise<void> {
  const tree = `${disk}.tree`;
  const within = (path: string) => join(tree, relative(root, path));
  try {
    checkBundle();
    for (const path of ["build/creeld", "bin", "deploy", "e2e/vm", "package.json"])
      cpSync(join(root, path), join(tree, path), { recursive: true, dereference: true });
    mkdirSync(join(tree, "node_modules/.bin"), { recursive: true });
    symlinkSync("../node/bin/node", join(tree, "node_modules/.bin/node"));
    copyProgram(join(root, "node_modules/node/bin/node"), join(tree, "node_modules/node/bin/node"));
    for (const name of PROGRAMS) copyProgram(native(name), within(native(name)));
    cpSync(realpathSync(found("docker")), join(tree, "guest/docker"));
    writeFileSync(join(tree, "guest/whoami.tar"), await whoamiImage());
    writeFileSync(join(tree, "guest/busybox.tar"), await busyboxImage());
    copySuite(join(tree, "guest/oci"));
    must("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "creel-checkout", "-d", tree, disk, "1G");
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** As much of the OCI validation suite as the guest runs. */
function copySuite(to: string): void {
  const suite = validationSuite();
  for (const name of ["runtimetest", ...TESTS.map((name) => `tests/${name}`)])
    copyProgram(join(suite, name), join(to, name));
  cpSync(join(suite, "rootfs-amd64.tar.gz"), join(to, "rootfs-amd64.tar.gz"));
}

function found(name: string): string {
  const path = (process.env.PATH ?? "").split(":").map((directory) => join(directory, name));
  const first = path.find(existsSync);
  if (first === undefined) throw new Error(`${name} is missing on this machine`);
  return first;
}
