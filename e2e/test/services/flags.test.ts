import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";
import { CREATE, USER } from "./flags/create.ts";
import { check, flagsOf, lines, type Seen } from "./flags/row.ts";
import { UPDATE } from "./flags/update.ts";

/** Driven by other files of this folder: secrets and configs, placement, jobs. */
const ELSEWHERE = [
  ...["--config", "--config-add", "--config-rm", "--secret", "--secret-add", "--secret-rm"],
  ...["--generic-resource", "--generic-resource-add", "--generic-resource-rm"],
  ...["--max-concurrent", "--credential-spec"],
];
/** Of `service update`, that do not go together with the rest. */
const ONE_BY_ONE = [
  ...["--detach", "--isolation", "--no-healthcheck", "--no-resolve-image", "--quiet", "--rollback"],
  ...["--with-registry-auth"],
];

describe("docker's flags of a service", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1 });
  let cli: Cli;
  let dir = "";
  before(async () => {
    await loadUsual(fixture.lab);
    cli = docker(fixture.lab);
    dir = join(fixture.lab.dir, "given");
    mkdirSync(dir);
    writeFileSync(join(dir, "env"), "FROM_FILE=yes\n# not this\n");
    await cli.ok("network", "create", "-d", "overlay", "net1");
    await cli.ok("network", "create", "-d", "overlay", "net2");
  });

  /** The container of the service's running task. */
  async function look(name: string): Promise<Seen> {
    const [spec] = JSON.parse(await cli.ok("service", "inspect", name));
    const id = await until(`a container of ${name}`, async () => {
      const label = `label=com.docker.swarm.service.name=${name}`;
      const ids = lines(await cli.ok("ps", "-q", "--filter", label, "--filter", "status=running"));
      return ids.length === 1 && ids[0];
    });
    const [container] = JSON.parse(await cli.ok("inspect", id));
    return { cli, spec, container, sh: (script) => cli.ok("exec", id, "sh", "-c", script) };
  }

  describe("service create", () => {
    let seen: Seen;
    before(async () => {
      const args = CREATE.flatMap(({ args }) =>
        args.map((word) => word.replace("ENV_FILE", join(dir, "env")).replace("GIVEN", dir)),
      );
      const tmp = ["--mount", "type=tmpfs,target=/tmp"];
      const script =
        "trap 'echo stopped > /data/end; exit 0' USR1; touch /tmp/ok; while :; do sleep 0.1; done";
      await cli.ok("service", "create", ...args, ...tmp, "busybox", script);
      seen = await look("all");
    });
    check(CREATE, () => seen);
  });

  describe("service create, of others", () => {
    let seen: Seen;
    before(async () => {
      await cli.ok(
        "service",
        "create",
        "--name",
        "user",
        "--stop-grace-period",
        "1s",
        ...USER.flatMap(({ args }) => args),
        "busybox",
        "sleep",
        "1000",
      );
      seen = await look("user");
    });
    check(USER, () => seen);
    it("is gone with service rm", async () => {
      assert.equal(await cli.ok("service", "rm", "user"), "user");
      await until("no container", async () => (await cli.ok("ps", "-aq", "--filter", "name=user.")) === "");
    });
  });

  describe("service update", () => {
    let seen: Seen;
    before(async () => {
      const script = "'touch /tmp/ok; SECOND=1; while :; do sleep 0.1; done'";
      const args = UPDATE.flatMap(({ args }) =>
        args.map((word) => word.replace("UPDATED", script).replace("GIVEN", dir)),
      );
      await cli.ok("service", "update", "--quiet", ...args, "all");
      seen = await look("all");
    });
    check(UPDATE, () => seen);
    it("says that it is complete", () => assert.equal(seen.spec.UpdateStatus.Message, "update completed"));
  });

  describe("service rollback", () => {
    let seen: Seen;
    before(async () => {
      await cli.ok("service", "rollback", "--quiet", "all");
      seen = await look("all");
    });
    check(
      CREATE.filter(({ flags }) => !flags.startsWith("--mount type=volume")),
      () => seen,
    );
    it("says that it is complete", () => assert.equal(seen.spec.UpdateStatus.Message, "rollback completed"));
  });

  it("no flag of docker's is left out", async () => {
    for (const [command, rows, elsewhere] of [
      ["create", [...CREATE, ...USER], ELSEWHERE],
      ["update", UPDATE, [...ELSEWHERE, ...ONE_BY_ONE]],
    ] as const) {
      const help = await cli.ok("service", command, "--help");
      const known = new Set([...flagsOf([...rows]), ...elsewhere]);
      const missing = [...help.matchAll(/^ {2}(?:-\w,| {3}) (--[a-z-]+)/gm)].flatMap(([, flag]) =>
        known.has(flag!) ? [] : [flag],
      );
      assert.deepEqual(missing, [], command);
    }
  });

  describe("service update, one by one", () => {
    const update = (...args: string[]) => cli.ok("service", "update", "--quiet", ...args, "all");
    it("--no-healthcheck, --no-resolve-image, --with-registry-auth, --isolation, --detach", async () => {
      await update(
        "--no-healthcheck",
        "--no-resolve-image",
        "--with-registry-auth",
        "--isolation",
        "default",
        "--detach",
      );
      await until("the new task", async () => {
        const { container } = await look("all");
        return container.Config.Healthcheck.Test[0] === "NONE";
      });
    });
    it("--rollback", async () => {
      await update("--rollback");
      assert.deepEqual((await look("all")).container.Config.Healthcheck.Retries, 7);
    });
    it("--credential-spec is refused", async () => {
      const { stderr } = await cli.fails("service", "update", "--credential-spec", "file://x.json", "all");
      assert.match(stderr, /credential specs are of Windows/);
    });
  });

  describe("service create, refused", () => {
    const refused: [string, string[], RegExp][] = [
      ["--credential-spec", ["--credential-spec", "file://x.json"], /credential specs are of Windows/],
      ["--isolation", ["--isolation", "hyperv"], /isolation hyperv is of Windows/],
      ["--mode of no kind", ["--mode", "many"], /Unknown mode: many/],
      [
        "--update-* of a job",
        ["--mode", "replicated-job", "--update-delay", "1s"],
        /update and rollback configuration is not supported for jobs/,
      ],
      [
        "--limit-memory too small",
        ["--limit-memory", "1k"],
        /invalid memory limit 1024: Must be at least 4MiB/,
      ],
      [
        "--mount twice",
        ["--mount", "type=tmpfs,target=/a", "--mount", "type=tmpfs,target=/a"],
        /duplicate mount point: \/a/,
      ],
      [
        "--health-interval too short",
        ["--health-interval", "1us"],
        /ContainerSpec: Interval in HealthConfig cannot be less than 1ms/,
      ],
      ["--oom-score-adj out of range", ["--oom-score-adj", "2000"], /OomScoreAdj must be <= 1000/],
      ["--publish twice", ["--publish", "1:80", "--publish", "1:81"], /duplicate published ports provided/],
      [
        "--endpoint-mode dnsrr with a published port",
        ["--endpoint-mode", "dnsrr", "-p", "1:80"],
        /can't be used with dnsrr mode/,
      ],
      ["--update-order of no kind", ["--update-order", "at-once"], /unknown update-order at-once/],
    ];
    for (const [what, args, text] of refused) {
      it(what, async () => {
        const { stderr } = await cli.fails(
          "service",
          "create",
          "--detach",
          "--name",
          "no",
          ...args,
          "busybox",
        );
        assert.match(stderr, text);
      });
    }
    it("leaves no service", async () => {
      assert.equal(await cli.ok("service", "ls", "--format", "{{.Name}}"), "all");
    });
  });
});
