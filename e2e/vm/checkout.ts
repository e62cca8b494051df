import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { whoamiImage } from "../../tools/src/image.ts";
import { native, root } from "../../tools/src/root.ts";
import { busyboxImage } from "../src/images.ts";
import { validationSuite } from "../src/validation.ts";
import { TESTS } from "./guest/validation.ts";
import { must } from "./must.ts";

const PROGRAMS = ["creel-engine", "creel-shim", "creel-runtime"];
const UNNEEDED = new Set(["node_modules", "test", "target", ".cache"]);

/** The real folder of every package that the one named here needs at run time, by where it is found; its own too. */
function closure(name: string): Map<string, string> {
  const found = new Map<string, string>();
  const look = (wanted: string, from: string, optional: boolean): void => {
    let at = from;
    while (!existsSync(join(at, "node_modules", wanted, "package.json"))) {
      if (at === root) {
        if (optional) return;
        throw new Error(`${wanted} is not installed: run \`npm run build\` first`);
      }
      at = dirname(at);
    }
    const place = join(at, "node_modules", wanted);
    if (found.has(place)) return;
    const folder = realpathSync(place);
    found.set(place, folder);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(folder, "package.json"), "utf8"),
    ) as Record<string, Record<string, string>>;
    for (const each of Object.keys({ ...dependencies, ...optionalDependencies }))
      look(each, folder, each in optionalDependencies);
  };
  look(name, root, false);
  return found;
}

function copy(folder: string, to: string): void {
  cpSync(folder, to, { recursive: true, filter: (path) => path === folder || !UNNEEDED.has(basename(path)) });
}

function copyProgram(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  must("strip", "--strip-debug", "-o", to, from);
}

/**
 * Makes a disk of what this checkout runs: creeld with its packages and its Node, the native programs, the docker client
 * of this machine, images, and the guest's side of the checks.
 */
export async function checkoutDisk(disk: string): Promise<void> {
  const tree = `${disk}.tree`;
  const within = (path: string) => join(tree, relative(root, path));
  try {
    for (const [place, folder] of closure("@creel/daemon")) {
      copy(folder, within(folder));
      if (place === folder) continue;
      mkdirSync(dirname(within(place)), { recursive: true });
      symlinkSync(relative(dirname(place), folder), within(place));
    }
    for (const path of ["bin", "deploy", "e2e/vm", "package.json"]) copy(join(root, path), join(tree, path));
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
