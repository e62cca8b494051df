import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../tools/src/root.ts";

/** The OCI runtime command of the checkout. */
export const ociRuntime = join(root, "bin/creel-runtime");

/** An OCI bundle with Debian's static busybox as its root file system; `change` may alter its spec. Its directory. */
export function busyboxBundle(args: string[], change: (spec: OciSpec) => void = () => {}): string {
  const busybox = ["/bin/busybox", "/usr/bin/busybox"].find(existsSync);
  if (busybox === undefined) throw new Error("busybox is missing: apt-get install busybox-static");
  const bundle = mkdtempSync(join(tmpdir(), "creel-bundle-"));
  mkdirSync(join(bundle, "rootfs/bin"), { recursive: true });
  copyFileSync(busybox, join(bundle, "rootfs/bin/busybox"));
  chmodSync(join(bundle, "rootfs/bin/busybox"), 0o755);
  for (const name of ["sh", "cat", "echo", "id", "sleep", "true", "env", "tty", "stty"])
    symlinkSync("busybox", join(bundle, "rootfs/bin", name));
  const spec: OciSpec = {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args,
      env: ["PATH=/bin"],
      cwd: "/",
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "box",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      {
        destination: "/dev",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
      },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
      },
    ],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore"],
      readonlyPaths: ["/proc/sys"],
    },
  };
  change(spec);
  writeFileSync(join(bundle, "config.json"), JSON.stringify(spec));
  return bundle;
}

/** As much of an OCI spec as tests alter. */
export interface OciSpec {
  ociVersion: string;
  process: Record<string, unknown> & { args: string[]; terminal: boolean };
  root: { path: string; readonly: boolean };
  hostname: string;
  mounts: { destination: string; type: string; source: string; options?: string[] }[];
  hooks?: Record<string, { path: string; args?: string[]; timeout?: number }[]>;
  linux: Record<string, unknown> & { namespaces: { type: string; path?: string }[] };
}
