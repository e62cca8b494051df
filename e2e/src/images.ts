import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { buildImage, type ImageFile, whoamiImage } from "../../tools/src/image.ts";
import type { Lab } from "../../tools/src/lab/lab.ts";

const APPLETS = [
  "sh",
  "cat",
  "echo",
  "ls",
  "id",
  "sleep",
  "true",
  "false",
  "env",
  "hostname",
  "mount",
  "umount",
  "nslookup",
  "wget",
  "ip",
  "ps",
  "dd",
  "head",
  "grep",
  "touch",
  "kill",
  "stat",
  "chown",
  "mkdir",
  "rm",
  "test",
  "seq",
  "tr",
  "nc",
  "unshare",
  "chroot",
  "dmesg",
  "date",
];

/**
 * Debian's static busybox with a few of its commands by name, users and groups: a small Linux to try things in; `more`
 * files may be put into it.
 */
export function busyboxImage(tag = "busybox:latest", more: ImageFile[] = []): Promise<Buffer> {
  return buildImage({ tag, files: [...busyboxFiles(), ...more], cmd: ["/bin/sh"] });
}

function busyboxFiles(): ImageFile[] {
  const path = ["/bin/busybox", "/usr/bin/busybox"].find(existsSync);
  if (path === undefined) throw new Error("busybox is missing: apt-get install busybox-static");
  return [
    { path: "bin/" },
    { path: "bin/busybox", content: readFileSync(path), mode: 0o755 },
    ...APPLETS.map((name) => ({ path: `bin/${name}`, link: "busybox" })),
    { path: "etc/" },
    {
      path: "etc/passwd",
      content: Buffer.from("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n"),
    },
    { path: "etc/group", content: Buffer.from("root:x:0:\napp:x:1000:\nmore:x:2000:app\n") },
    { path: "root/", mode: 0o700 },
    { path: "tmp/", mode: 0o1777 },
  ];
}

/** This machine's bash, with its libraries, on top of busybox: to be used at a terminal. */
export async function bashImage(tag = "bash:latest"): Promise<Buffer> {
  const said = execFileSync("ldd", ["/bin/bash"], { encoding: "utf8" });
  const libraries = [...said.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path!);
  const whole = ["/bin/bash", ...libraries].map((path) => ({
    path: path.slice(1),
    content: readFileSync(path),
    mode: 0o755,
  }));
  return buildImage({ tag, files: [...busyboxFiles(), ...whole], cmd: ["/bin/bash"], env: ["HISTFILE="] });
}

/** Puts images on every node of a lab. */
export async function loadEverywhere(lab: Lab, images: Buffer[]): Promise<void> {
  await Promise.all(
    lab.nodes.flatMap((node) => images.map((image) => lab.rest(node.name).post("/images/load", image))),
  );
}

/** whoami and busybox on every node. */
export async function loadUsual(lab: Lab): Promise<void> {
  await loadEverywhere(lab, await Promise.all([whoamiImage(), busyboxImage()]));
}
