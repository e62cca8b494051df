import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { busyboxBundle, type OciSpec, ociRuntime } from "../../src/bundle.ts";
import { Runtime } from "../../src/oci-runtime.ts";

const ID = `creel-e2e-specs-${process.pid}`;

/** What it is about, the command, and the change of the spec. */
type Row = [string, string[], (spec: OciSpec) => void];

describe("specs, by creel-runtime beside runc", function () {
  this.timeout(180_000);
  const dir = mkdtempSync(join(tmpdir(), "creel-specs-"));
  const runc = new Runtime("runc", `${ID}-runc`, dir);
  const creel = new Runtime(ociRuntime, `${ID}-creel`, dir);
  const both = [runc, creel];

  after(() => {
    for (const runtime of both) runtime.end();
    rmSync(dir, { recursive: true, force: true });
  });

  it("come to the same, and are refused alike", () => {
    const hook = (script: string, more: object = {}) => [
      { path: "/bin/sh", args: ["sh", "-c", script], ...more },
    ];
    const mount = (destination: string, type: string, source: string, ...options: string[]) => ({
      destination,
      type,
      source,
      options,
    });
    const without = (type: string) => (spec: OciSpec) => {
      spec.linux.namespaces = spec.linux.namespaces.filter((namespace) => namespace.type !== type);
    };
    const capabilities = ["grep", "Cap", "/proc/self/status"];
    const table: Row[] = [
      ["no capabilities", capabilities, (spec) => delete spec.process.capabilities],
      ["no user", ["id"], (spec) => delete spec.process.user],
      ["the greatest user", ["id"], (spec) => (spec.process.user = { uid: 2 ** 32 - 1, gid: 0 })],
      ["the greatest group", ["id"], (spec) => (spec.process.user = { uid: 0, gid: 2 ** 32 - 1 })],
      ["a name without value", ["env"], (spec) => (spec.process.env = ["PATH=/bin", "A"])],
      ["a name twice", ["env"], (spec) => (spec.process.env = ["A=1", "PATH=/bin", "A=2"])],
      ["a label", ["true"], (spec) => (spec.process.selinuxLabel = "none")],
      ["the host's parameter", ["true"], (spec) => (spec.linux.sysctl = { "vm.laptop_mode": "0" })],
      [
        "a parameter of the host's network",
        ["true"],
        (spec) => {
          without("network")(spec);
          spec.linux.sysctl = { "net.ipv4.ip_forward": "1" };
        },
      ],
      [
        "one of its own network",
        ["cat", "/proc/sys/net/ipv4/ip_forward"],
        (spec) => (spec.linux.sysctl = { "net.ipv4.ip_forward": "1" }),
      ],
      ["few shares", ["true"], (spec) => (spec.linux.resources = { cpu: { shares: 1 } })],
      ["an empty path", ["true"], (spec) => (spec.linux.namespaces[1]!.path = "")],
      [
        "a tmpfs over files",
        ["sh", "-c", "ls -l /data /data/below; cat /data/below/file; echo more > /data/file"],
        (spec) => spec.mounts.push(mount("/data", "tmpfs", "tmpfs", "tmpcopyup", "mode=755")),
      ],
      [
        "a source below the bundle",
        ["cat", "/mnt/below/file"],
        (spec) => spec.mounts.push(mount("/mnt", "bind", "rootfs/data", "bind")),
      ],
      ...["rslave", "rprivate", "rshared", "slave", "none"].map(
        (kind): Row => [
          `a root that is ${kind}`,
          ["grep", "-c", " / / .* shared:", "/proc/self/mountinfo"],
          (spec) => (spec.linux.rootfsPropagation = kind),
        ],
      ),
      [
        "a device elsewhere",
        ["sh", "-c", "ls -l /some/null; echo > /some/null"],
        (spec) =>
          (spec.linux.devices = [{ path: "/some/null", type: "c", major: 1, minor: 3, fileMode: 0o640 }]),
      ],
      ...["prestart", "createRuntime", "createContainer", "startContainer", "poststop"].flatMap(
        (point): Row[] => [
          [`a ${point} hook that fails`, ["true"], (spec) => (spec.hooks = { [point]: hook("exit 3") })],
          [
            `a ${point} hook that is killed`,
            ["true"],
            (spec) => (spec.hooks = { [point]: hook("kill -9 $$") }),
          ],
          [
            `a ${point} hook that is not there`,
            ["true"],
            (spec) => (spec.hooks = { [point]: [{ path: "/nonexistent" }] }),
          ],
        ],
      ),
      [
        "a hook without a path from the root",
        ["true"],
        (spec) => (spec.hooks = { createRuntime: [{ path: "true" }] }),
      ],
      [
        "a hook without time",
        ["true"],
        (spec) => (spec.hooks = { createRuntime: hook("sleep 0.1", { timeout: 0 }) }),
      ],
      [
        "a hook's directory",
        ["cat", "/where"],
        (spec) => (spec.hooks = { createRuntime: hook("basename $PWD | cut -c1-13 > rootfs/where") }),
      ],
    ];
    for (const [what, args, change] of table) {
      const bundle = busyboxBundle(args, change);
      for (const name of ["grep", "ls"]) symlinkSync("busybox", join(bundle, "rootfs/bin", name));
      mkdirSync(join(bundle, "rootfs/data/below"), { recursive: true });
      writeFileSync(join(bundle, "rootfs/data/below/file"), "content\n");
      try {
        const [theirs, ours] = both.map((runtime) => runtime.call(["run", "-b", bundle, "ID-spec"]));
        assert.deepEqual(
          [ours!.status, ours!.stdout],
          [theirs!.status, theirs!.stdout],
          `${what}: ${ours!.stderr}`,
        );
        assert.equal(ours!.stderr !== "", theirs!.stderr !== "", `${what}: ${ours!.stderr}${theirs!.stderr}`);
        assert.equal(creel.call(["list", "-q"]).stdout.includes("spec"), false, what);
      } finally {
        rmSync(bundle, { recursive: true, force: true });
      }
    }
  });
});
