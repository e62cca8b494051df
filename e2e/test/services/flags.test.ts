import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";
import { CREATE, USER } from "./flags/create.ts";
import { lines, type Row, type Seen } from "./flags/row.ts";
import { UPDATE } from "./flags/update.ts";

describe("docker's flags of a service", function () {
  this.timeout(60_000);
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

  function check(rows: Row[], seen: () => Seen): void {
    for (const { flags, see, is } of rows) {
      it(flags, async () => {
        const found = await see(seen());
        if (is instanceof RegExp) assert.match(String(found), is);
        else assert.deepEqual(found, is);
      });
    }
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
      ["--oom-score-adj out of range", ["--oom-score-adj", "2000"], /OomScoreAdj must be <= 1000/],
      ["--publish twice", ["--publish", "1:80", "--publish", "1:81"], /duplicate published ports provided/],
      [
        "--endpoint-mode dnsrr with a published port",
        ["--endpoint-mode", "dnsrr", "-p", "1:80"],
        /can't be used with dnsrr mode/,
      ],
      ["--update-order of no kind", ["--update-order", "at-once"], /unknown update-order at-once/],
      [
        "--restart-condition of a job",
        ["--mode", "replicated-job", "--restart-condition", "any"],
        /a job's tasks are done when they complete/,
      ],
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
