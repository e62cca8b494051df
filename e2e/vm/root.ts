import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { must } from "./must.ts";

const CACHE = "/var/cache/creel-test";
const STALE_MS = 3_600_000;
const SUITE = "bookworm";
/** Node needs libatomic1. Nothing of what Creel must do without: no `ip`, `nft`, `iptables`. */
const PACKAGES = ["linux-image-cloud-amd64", "systemd-sysv", "udev", "kmod", "libatomic1"];
const UNNEEDED = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"];

/** Where the checkout's disk is mounted. */
const CHECKOUT_AT = "/opt/creel";
/** The serial line that results are written to; the first one is the console. */
const RESULTS = "/dev/ttyS1";

/** Beside what the packages bring. */
const FILES: Record<string, string> = {
  "etc/hostname": "vm\n",
  "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 vm\n",
  "etc/fstab": `LABEL=creel-root / ext4 rw 0 1\nLABEL=creel-checkout ${CHECKOUT_AT} ext4 ro 0 0\n`,
  "etc/systemd/network/20-wired.network":
    "[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n",
  "etc/systemd/system/creel-check.service": `[Unit]
Description=Checks of Creel
After=multi-user.target systemd-networkd-wait-online.service
Wants=systemd-networkd-wait-online.service
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
ExecStart=${CHECKOUT_AT}/node_modules/node/bin/node ${CHECKOUT_AT}/e2e/vm/guest/main.ts
StandardOutput=tty
StandardError=tty
TTYPath=${RESULTS}
[Install]
WantedBy=creel-check.target
`,
  "etc/systemd/system/creel-check.target": `[Unit]
Description=A machine that is up and being checked
Requires=multi-user.target
After=multi-user.target
`,
};
const ENABLED = {
  "multi-user.target.wants": ["/lib/systemd/system/systemd-networkd.service"],
  "creel-check.target.wants": ["/etc/systemd/system/creel-check.service"],
};
/** What a machine that lives for two minutes has no use for. */
const MASKED = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
  "getty@tty1.service",
  "serial-getty@ttyS0.service",
  "systemd-timesyncd.service",
];

/** A bootable Debian: its disk is never written to. */
export interface Root {
  disk: string;
  kernel: string;
  initrd: string;
}

function inDirectory(directory: string): Root {
  return {
    disk: join(directory, "root.ext4"),
    kernel: join(directory, "vmlinuz"),
    initrd: join(directory, "initrd"),
  };
}

function build(directory: string): void {
  const tree = join(directory, "tree");
  must(
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    "--format=directory",
    `--include=${PACKAGES.join(",")}`,
    "--aptopt=Acquire::Languages none",
    ...UNNEEDED.map((path) => `--dpkgopt=path-exclude=${path}`),
    SUITE,
    tree,
  );
  for (const [path, content] of Object.entries(FILES)) {
    mkdirSync(join(tree, path, ".."), { recursive: true });
    rmSync(join(tree, path), { force: true });
    writeFileSync(join(tree, path), content);
  }
  const units = join(tree, "etc/systemd/system");
  for (const [wants, targets] of Object.entries(ENABLED)) {
    mkdirSync(join(units, wants), { recursive: true });
    for (const target of targets) symlinkSync(target, join(units, wants, target.split("/").at(-1)!));
  }
  for (const unit of MASKED) symlinkSync("/dev/null", join(units, unit));
  mkdirSync(join(tree, CHECKOUT_AT), { recursive: true });
  const { kernel, initrd, disk } = inDirectory(directory);
  for (const name of readdirSync(join(tree, "boot"))) {
    if (name.startsWith("vmlinuz-")) cpSync(join(tree, "boot", name), kernel);
    if (name.startsWith("initrd.img-")) cpSync(join(tree, "boot", name), initrd);
  }
  must("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "creel-root", "-d", tree, disk, "2G");
  rmSync(tree, { recursive: true, force: true });
}

/** What an earlier recipe left, and what a run left that was killed while it made one. */
function sweep(): void {
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name);
    const stale = name.startsWith("making-") && Date.now() - statSync(path).mtimeMs > STALE_MS;
    if (name.startsWith("vm-") || stale) rmSync(path, { recursive: true, force: true });
  }
}

/** The root of a virtual machine, made once for what this file says and kept in /var/cache/creel-test. */
export function debianRoot(): Root {
  const recipe = JSON.stringify([SUITE, PACKAGES, UNNEEDED, FILES, ENABLED, MASKED]);
  const kept = join(CACHE, `vm-${createHash("sha256").update(recipe).digest("hex").slice(0, 16)}`);
  if (!existsSync(kept)) {
    mkdirSync(CACHE, { recursive: true });
    sweep();
    const making = mkdtempSync(join(CACHE, "making-"));
    try {
      build(making);
      // where another run was faster, its work is as good
      if (!existsSync(kept)) renameSync(making, kept);
    } finally {
      rmSync(making, { recursive: true, force: true });
    }
  }
  return inDirectory(kept);
}
