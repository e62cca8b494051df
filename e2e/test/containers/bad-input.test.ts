import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { strays } from "../../src/host-leaks.ts";
import { loadUsual } from "../../src/images.ts";
import { raw } from "../../src/raw.ts";
import { until } from "../../src/wait.ts";

/** Docker's exit status and words for options that no container can have. */
const REFUSED: [number, RegExp, ...string[]][] = [
  [127, /exec: "\/nothing": stat \/nothing: no such file or directory/, "busybox", "/nothing"],
  [127, /exec: "nothing": executable file not found in \$PATH/, "busybox", "nothing"],
  [127, /exec: "": executable file not found in \$PATH/, "busybox", ""],
  [126, /exec: "\/etc": is a directory/, "busybox", "/etc"],
  [126, /exec: "\/etc\/passwd": permission denied/, "busybox", "/etc/passwd"],
  [125, /unable to find user nobody: no matching entries in passwd file/, "-u", "nobody", "busybox"],
  [125, /unable to find group nogroup: no matching entries in group file/, "-u", "app:nogroup", "busybox"],
  [125, /\/etc\/passwd: not a directory$/m, "-w", "/etc/passwd", "busybox"],
  [125, /Minimum memory limit allowed is 6MB/, "-m", "1m", "busybox"],
  [125, /memoryswap limit should be larger/, "-m", "64m", "--memory-swap", "32m", "busybox"],
  [125, /always set the Memory limit when using Memoryswap/, "--memory-swap", "1g", "busybox"],
  [125, /can not be less than memory reservation/, "-m", "64m", "--memory-reservation", "1g", "busybox"],
  [125, /range of CPUs is from 0\.01 to \d+\.00, as there are only/, "--cpus", "999", "busybox"],
  [125, /CPU cfs period can not be less than 1ms/, "--cpu-period", "10", "busybox"],
  [125, /CPU cfs quota can not be less than 1ms/, "--cpu-quota", "10", "busybox"],
  [
    125,
    /Requested CPUs are not available - requested 0-999, available: 0/,
    "--cpuset-cpus",
    "0-999",
    "busybox",
  ],
  [125, /Invalid value abc for cpuset cpus/, "--cpuset-cpus", "abc", "busybox"],
  [125, /Requested memory nodes are not available/, "--cpuset-mems", "77", "busybox"],
  [125, /invalid CPU shares \(-3\): value must be a positive integer/, "--cpu-shares", "-3", "busybox"],
  [125, /CPU Period cannot both be set/, "--cpus", "1", "--cpu-period", "1000", "busybox"],
  [125, /range for oom score adj is \[-1000, 1000\]/, "--oom-score-adj", "2000", "busybox"],
  [125, /Interval in Healthcheck cannot be less than 1ms/, "--health-interval", "1us", "busybox"],
  [125, /Timeout in Healthcheck cannot be less than 1ms/, "--health-timeout", "1us", "busybox"],
  [125, /StartPeriod in Healthcheck cannot be less than 1ms/, "--health-start-period", "1us", "busybox"],
  [125, /StartInterval in Healthcheck cannot be less than 1ms/, "--health-start-interval", "1us", "busybox"],
  [125, /invalid isolation \(hyperv\): linux only supports 'default'/, "--isolation", "hyperv", "busybox"],
  [125, /hostname and the UTS mode/, "--uts", "host", "--hostname", "a", "busybox"],
  [125, /hostname and the network mode/, "--network", "container:twin", "--hostname", "a", "busybox"],
  [125, /dns and the network mode/, "--network", "container:twin", "--dns", "1.1.1.1", "busybox"],
  [125, /custom host-to-IP mapping/, "--network", "container:twin", "--add-host", "a:1.1.1.1", "busybox"],
  [125, /port publishing and the container/, "--network", "container:twin", "-p", "80", "busybox"],
  [125, /port exposing and the container/, "--network", "container:twin", "--expose", "80", "busybox"],
  [127, /device \/dev\/nothing: no such file or directory$/m, "--device", "/dev/nothing", "busybox"],
  [125, /\/etc is not a device/, "--device", "/etc", "busybox"],
  [125, /bind source path does not exist: \/nothing/, "--mount", "type=bind,src=/nothing,dst=/a", "busybox"],
  [125, /includes invalid characters for a local volume name/, "-v", "a/b:/a", "busybox"],
  [125, /mount path must be absolute/, "-v", "/tmp:a", "busybox"],
  [125, /invalid capability: "CAP_NOTHING"/, "--cap-add", "NOTHING", "busybox"],
  [127, /kernel parameter net\.nothing/, "--sysctl", "net.nothing=1", "busybox"],
  [
    125,
    /user specified IP address is supported on user defined networks only/,
    "--ip",
    "172.17.0.9",
    "busybox",
  ],
  [125, /network nothing not found/, "--network", "nothing", "busybox"],
  [125, /unknown or invalid runtime name: nothing/, "--runtime", "nothing", "busybox"],
  [125, /no log driver named 'nothing'/, "--log-driver", "nothing", "busybox"],
  [125, /No such container: nothing/, "--pid", "container:nothing", "busybox"],
  [125, /invalid signal: NOTHING/, "--stop-signal", "NOTHING", "busybox"],
];

describe("a container that cannot be", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  let cli: Cli;
  before(async () => {
    cli = docker(fixture.lab);
    await loadUsual(fixture.lab);
    await cli.ok("run", "-d", "--name", "twin", "busybox", "sleep", "1000");
  });
  afterEach(async () => {
    assert.equal(await cli.ok("ps", "-a", "--format", "{{.Names}}"), "twin");
    await until("nothing is left", async () => (await strays(fixture.lab, "node1")).length === 0);
    assert.equal(await cli.ok("volume", "ls", "-q"), "");
  });

  it("is refused with Docker's exit status and one sentence, and leaves nothing", async () => {
    const runs = REFUSED.map(async ([code, text, ...args]) => {
      const result = await cli.run(["run", "--rm", ...args, ...(args.at(-1) === "busybox" ? ["true"] : [])]);
      assert.deepEqual([result.code, result.stdout], [code, ""], `${args.join(" ")}: ${result.stderr}`);
      assert.match(result.stderr, text, args.join(" "));
      assert.match(result.stderr, /^docker: Error response from daemon: [^\n]+\n/);
    });
    await Promise.all(runs);
  });

  it("has Docker's HTTP status, where there is no client in between", async () => {
    const post = (path: string, body: unknown) =>
      raw(fixture.lab.socket("node1"), "POST", path, JSON.stringify(body));
    const host = (HostConfig: object) => ({ Image: "busybox", HostConfig });
    const refused: [number, RegExp, unknown][] = [
      [400, /Range|range of CPUs/, host({ NanoCpus: (availableParallelism() + 1) * 1e9 })],
      [400, /PidsLimit must be integer/, host({ PidsLimit: "many" })],
      [400, /^Minimum memory limit allowed is 6MB$/, host({ Memory: -1 })],
      [400, /^Invalid value: 200, valid memory swappiness range/, host({ MemorySwappiness: 200 })],
      [400, /^SHM size can not be less than 0$/, host({ ShmSize: -1 })],
      [400, /^invalid option: QoS maximum IOPs configuration is not supported/, host({ IOMaximumIOps: 1 })],
      [
        400,
        /^invalid Annotations: the empty string is not permitted as an annotation key$/,
        host({ Annotations: { "": "a" } }),
      ],
      [400, /container format container:<name\|id>/, host({ NetworkMode: "container:" })],
      [400, /^bad format for add-host: "a"$/, host({ ExtraHosts: ["a"] })],
      [400, /^invalid IP address in add-host: "b"$/, host({ ExtraHosts: ["a:b"] })],
      [
        400,
        /maximum retry count can only be used with 'on-failure'/,
        host({ RestartPolicy: { Name: "always", MaximumRetryCount: 3 } }),
      ],
      [
        400,
        /maximum retry count cannot be negative/,
        host({ RestartPolicy: { Name: "on-failure", MaximumRetryCount: -1 } }),
      ],
      [
        400,
        /^can't create 'AutoRemove' container with restart policy$/,
        host({ AutoRemove: true, RestartPolicy: { Name: "always" } }),
      ],
      [400, /unknown policy 'never'/, host({ RestartPolicy: { Name: "never" } })],
      [400, /^invalid environment variable: =a$/, { Image: "busybox", Env: ["=a"] }],
      [
        400,
        /^Retries in Healthcheck cannot be negative$/,
        { Image: "busybox", Healthcheck: { Retries: -1 } },
      ],
      [
        400,
        /^VolumeOptions must not be specified on mount type "tmpfs"$/,
        host({ Mounts: [{ Type: "tmpfs", Target: "/a", VolumeOptions: {} }] }),
      ],
      [
        400,
        /field Source must not be specified/,
        host({ Mounts: [{ Type: "tmpfs", Source: "/tmp", Target: "/a" }] }),
      ],
      [
        400,
        /must not set ReadOnly mode when using anonymous volumes/,
        host({ Mounts: [{ Type: "volume", Target: "/a", ReadOnly: true }] }),
      ],
      [400, /must be integer|<=/, host({ Memory: 1e300 })],
      [
        400,
        /inside the volume|must be a relative path/,
        host({
          Mounts: [{ Type: "volume", Source: "v", Target: "/a", VolumeOptions: { Subpath: "../.." } }],
        }),
      ],
      [400, /destination can't be '\/'/, host({ Binds: ["/tmp:/"] })],
      [400, /Duplicate mount point/, host({ Binds: ["/tmp:/a", "/var:/a"] })],
      [400, /no command specified/i, { Image: "busybox", Entrypoint: [""], Cmd: [] }],
      [404, /No such image/, { Image: "nothing" }],
    ];
    for (const [status, text, body] of refused) {
      const answer = await post("/containers/create?name=never", body);
      assert.equal(answer.status, status, `${JSON.stringify(body)}: ${answer.message}`);
      assert.match(answer.message, text);
    }
    const { status, message } = await post("/containers/create?name=twin", { Image: "busybox" });
    assert.deepEqual(
      [status, /^Conflict\. The container name "\/twin" is already in use/.test(message)],
      [409, true],
    );
    const removed = await raw(fixture.lab.socket("node1"), "DELETE", "/containers/twin");
    assert.equal(removed.status, 409);
    assert.match(
      removed.message,
      /^cannot remove container "\/twin": container is running: stop the container before/,
    );
    assert.equal((await raw(fixture.lab.socket("node1"), "DELETE", "/containers/nothing")).status, 404);
  });

  it("has an exit status in exec, too", async () => {
    for (const [code, text, ...args] of [
      [127, /exec: "\/nothing": stat \/nothing: no such file/, "twin", "/nothing"],
      [127, /executable file not found in \$PATH/, "twin", "nothing"],
      [126, /is a directory/, "twin", "/etc"],
      [126, /unable to find user nobody/, "-u", "nobody", "twin", "true"],
      [126, /chdir to \/nothing/, "-w", "/nothing", "twin", "true"],
    ] as const) {
      const result = await cli.run(["exec", ...args]);
      assert.equal(result.code, code, `${args.join(" ")}: ${result.stdout}${result.stderr}`);
      assert.match(result.stdout + result.stderr, text);
    }
  });

  it("is not made of one that runs: the limits it has stay", async () => {
    for (const [text, ...args] of [
      [/Minimum memory limit/, "-m", "1m"],
      [/range of CPUs/, "--cpus", "999"],
      [/Requested CPUs are not available/, "--cpuset-cpus", "77"],
    ] as const)
      assert.match((await cli.fails("update", ...args, "twin")).stderr, text);
    const limits = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpusetCpus}}";
    assert.equal(await cli.ok("inspect", "-f", limits, "twin"), "0 0");
    assert.match((await cli.fails("kill", "-s", "NOTHING", "twin")).stderr, /invalid signal: NOTHING/i);
    assert.match((await cli.fails("rename", "twin", "twin")).stderr, /same name/);
  });
});
