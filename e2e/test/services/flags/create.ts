import { firstProcess, limits, pace, replicas, reservations, restart } from "./both.ts";
import {
  CHOWN,
  hasCapability,
  type Json,
  lines,
  NET_ADMIN,
  ofFirst,
  type Row,
  row,
  type Seen,
  task,
} from "./row.ts";

/**
 * One service with all of these: `docker service create` with each flag. In the words GIVEN stands for a directory of the
 * host, ENV_FILE for a file in it.
 */
export const CREATE: Row[] = [
  row("--name", ["--name", "all"], ({ spec }) => spec.Spec.Name, "all"),
  row("--cap-add", ["--cap-add", "NET_ADMIN"], (seen) => hasCapability(seen, NET_ADMIN), true),
  row("--cap-drop", ["--cap-drop", "CHOWN"], (seen) => hasCapability(seen, CHOWN), false),
  row("--constraint", ["--constraint", "node.role==manager"], (seen) => task(seen).Placement.Constraints, [
    "node.role==manager",
  ]),
  row(
    "--container-label",
    ["--container-label", "colour=red"],
    ({ container }) => container.Config.Labels.colour,
    "red",
  ),
  row(
    "--dns --dns-option --dns-search",
    ["--dns", "10.9.9.9", "--dns-option", "ndots:3", "--dns-search", "example.test"],
    ({ container }) => [
      container.HostConfig.Dns,
      container.HostConfig.DnsOptions,
      container.HostConfig.DnsSearch,
    ],
    [["10.9.9.9"], ["ndots:3"], ["example.test"]],
  ),
  row(
    "resolv.conf has them",
    [],
    ({ sh }) => sh("cat /etc/resolv.conf"),
    /^search example\.test$[\s\S]*^options .*ndots:3/m,
  ),
  row(
    "--entrypoint and arguments",
    ["--entrypoint", "sh -c"],
    ({ sh }) => sh("tr '\\0' ' ' < /proc/1/cmdline"),
    /^sh -c trap/,
  ),
  row(
    "--env --env-file",
    ["--env", "A={{.Service.Name}} {{.Task.Slot}}", "--env-file", "ENV_FILE"],
    async ({ sh }) => lines(await sh("tr '\\0' '\\n' < /proc/1/environ | grep -E '^(A|FROM_FILE)='")).sort(),
    ["A=all 1", "FROM_FILE=yes"],
  ),
  row(
    "--health-cmd -interval -retries -start-interval -start-period -timeout",
    [
      ...["--health-cmd", "test -f /tmp/ok", "--health-interval", "500ms", "--health-retries", "7"],
      ...["--health-start-interval", "200ms", "--health-start-period", "20s", "--health-timeout", "2s"],
    ],
    ({ container }) => [container.Config.Healthcheck, container.State.Health.Status],
    [
      {
        Test: ["CMD-SHELL", "test -f /tmp/ok"],
        Interval: 5e8,
        Timeout: 2e9,
        StartPeriod: 2e10,
        StartInterval: 2e8,
        Retries: 7,
      },
      "healthy",
    ],
  ),
  row("--host", ["--host", "db:10.1.2.3"], ({ sh }) => sh("grep db /etc/hosts"), /^10\.1\.2\.3\s+db$/),
  row(
    "--hostname",
    ["--hostname", "{{.Node.Hostname}}-{{.Task.Slot}}"],
    ({ sh }) => sh("hostname"),
    "node1-1",
  ),
  row("--isolation", ["--isolation", "default"], (seen) => task(seen).ContainerSpec.Isolation, "default"),
  row("--label", ["--label", "team=a"], ({ spec }) => spec.Spec.Labels, { team: "a" }),
  ...limits(0.5, 64, 50),
  row(
    "--log-driver --log-opt",
    ["--log-driver", "json-file", "--log-opt", "max-size=1m"],
    ({ container }) => container.HostConfig.LogConfig,
    { Type: "json-file", Config: { "max-size": "1m" } },
  ),
  row(
    "--mount type=tmpfs",
    ["--mount", "type=tmpfs,target=/t,tmpfs-size=1048576,tmpfs-mode=1770"],
    ({ sh }) => sh("grep ' /t ' /proc/mounts; stat -c %a /t"),
    /^tmpfs \/t tmpfs .*size=1024k[\s\S]*\n1770$/,
  ),
  row(
    "--mount type=volume",
    ["--mount", "type=volume,source=data,target=/data,volume-label=of=flags"],
    async ({ cli, sh }) => [
      await sh("echo kept > /data/x; cat /data/x"),
      await cli.ok("volume", "inspect", "--format", "{{.Labels.of}}", "data"),
    ],
    ["kept", "flags"],
  ),
  row(
    "--mount type=bind, read-only",
    ["--mount", "type=bind,source=GIVEN,target=/given,readonly,bind-propagation=rslave"],
    ({ sh }) => sh("cat /given/env | head -1; touch /given/no 2>&1 || true"),
    /^FROM_FILE=yes\ntouch: .*Read-only file system$/,
  ),
  row(
    "--network with an alias",
    ["--network", "name=net1,alias=other"],
    async ({ sh, spec }) =>
      (await sh("nslookup other 127.0.0.11")).includes(
        spec.Endpoint.VirtualIPs.find(
          (vip: Json) => vip.NetworkID === task({ spec } as Seen).Networks[0].Target,
        ).Addr.split("/")[0],
      ),
    true,
  ),
  row(
    "--no-resolve-image",
    ["--no-resolve-image"],
    (seen) => task(seen).ContainerSpec.Image,
    "busybox:latest",
  ),
  ...firstProcess(321, "/tmp"),
  row(
    "--placement-pref",
    ["--placement-pref", "spread=node.labels.zone"],
    (seen) => task(seen).Placement.Preferences,
    [{ Spread: { SpreadDescriptor: "node.labels.zone" } }],
  ),
  row(
    "--publish",
    ["--publish", "published=18080,target=8080,protocol=tcp"],
    ({ spec }) => spec.Endpoint.Ports,
    [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 18080, PublishMode: "ingress" }],
  ),
  row("--read-only", ["--read-only"], ({ sh }) => sh("touch /no 2>&1 || true"), /Read-only file system/),
  ...replicas(1, 2),
  reservations(0.1, 32),
  restart("on-failure", "1s", 3, "1m"),
  pace("rollback", {
    delay: "1s",
    failureAction: "continue",
    maxFailureRatio: 0.2,
    monitor: "3s",
    order: "start-first",
    parallelism: 2,
  }),
  row(
    "--stop-grace-period --stop-signal",
    ["--stop-grace-period", "7s", "--stop-signal", "SIGUSR1"],
    ({ container }) => [container.Config.StopTimeout, container.Config.StopSignal],
    [7, "SIGUSR1"],
  ),
  row(
    "--sysctl",
    ["--sysctl", "net.ipv4.ip_unprivileged_port_start=79"],
    ({ sh }) => sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start"),
    "79",
  ),
  row(
    "--ulimit",
    ["--ulimit", "nofile=1234:2345"],
    ({ sh }) => sh("grep 'open files' /proc/1/limits"),
    /1234 +2345 +files/,
  ),
  pace("update", {
    delay: "100ms",
    failureAction: "rollback",
    maxFailureRatio: 0.1,
    monitor: "1s",
    order: "stop-first",
    parallelism: 3,
  }),
  row(
    "--with-registry-auth",
    ["--with-registry-auth"],
    (seen) => task(seen).ContainerSpec.Image,
    "busybox:latest",
  ),
  row("--quiet", ["--quiet"], ({ spec }) => spec.ID.length, 25),
];

/** Another service, with what does not go together with those. */
export const USER: Row[] = [
  row(
    "--init",
    ["--init"],
    ({ sh }) => sh("tr '\\0' ' ' < /proc/1/cmdline"),
    "/sbin/creel-init -- sleep 1000",
  ),
  row(
    "--user --group",
    ["--user", "app", "--group", "more"],
    async (seen) => [await ofFirst("Uid")(seen), await ofFirst("Groups")(seen)].join(" "),
    /^Uid:\s+1000\s[\s\S]*Groups:.*\b2000\b/,
  ),
  row(
    "--tty",
    ["--tty"],
    ({ sh }) => sh("busybox readlink /proc/1/fd/0; ls -l /proc/1/fd/1"),
    /pts\/0|console/,
  ),
  row(
    "--no-healthcheck",
    ["--no-healthcheck"],
    ({ container }) => [container.Config.Healthcheck.Test, container.State.Health],
    [["NONE"], undefined],
  ),
  row(
    "--endpoint-mode",
    ["--endpoint-mode", "dnsrr"],
    ({ spec }) => [spec.Spec.EndpointSpec.Mode, spec.Endpoint.VirtualIPs],
    ["dnsrr", undefined],
  ),
  row(
    "--publish mode=host",
    ["--publish", "mode=host,published=18082,target=8080"],
    async ({ cli }) => lines(await cli.ok("ps", "--format", "{{.Ports}}", "--filter", "name=user.")).join(),
    /0\.0\.0\.0:18082->8080\/tcp/,
  ),
  row("--mode", ["--mode", "global"], ({ spec }) => spec.Spec.Mode, { Global: {} }),
  row(
    "--log-driver none",
    ["--log-driver", "none"],
    ({ container }) => container.HostConfig.LogConfig.Type,
    "none",
  ),
  row("--network", ["--network", "net1"], (seen) => task(seen).Networks.length, 1),
  row("--detach", ["--detach"], ({ spec }) => spec.ID.length, 25),
];
