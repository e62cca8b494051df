import assert from "node:assert/strict";
import { join } from "node:path";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { raw } from "../../src/raw.ts";
import { until } from "../../src/wait.ts";
import type { Json } from "../services/flags/row.ts";

describe("what is told of containers", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  let cli: Cli;
  const inspect = async (name: string): Promise<Json> => JSON.parse(await cli.ok("inspect", name))[0];

  before(async () => {
    cli = docker(fixture.lab);
    await loadUsual(fixture.lab);
    await cli.ok("network", "create", "mine");
    const given = ["--tmpfs", "/t", "-v", "kept:/v", "-e", "A=1", "--memory", "64m", "-p", "127.0.0.1::80"];
    await cli.ok("run", "-d", "-t", "--name", "web-1", ...given, "busybox", "sleep", "1000");
    await cli.ok("create", "--name", "web-2", "--network", "mine", "busybox", "true");
    await cli.ok("run", "--name", "done", "busybox", "true");
    await cli.ok("run", "-d", "--name", "alone", "--network", "none", "busybox", "sleep", "1000");
    await cli.ok("run", "-d", "--name", "near", "--network", "container:web-1", "busybox", "sleep", "1000");
  });

  it("an environment is what was given and the image has; the rest is the process's", async () => {
    const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const { Id, Config } = await inspect("web-1");
    assert.deepEqual(Config.Env, [path, "A=1"]);
    const own = (await cli.ok("exec", "web-1", "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ")).split("\n");
    assert.deepEqual(own, [path, `HOSTNAME=${Id.slice(0, 12)}`, "TERM=xterm", "A=1", "HOME=/root"]);
    // an image made of it gives its containers their own names
    await cli.ok("commit", "web-1", "web:made");
    const made = await cli.ok("run", "--rm", "--hostname", "other", "web:made", "env");
    assert.deepEqual(made.split("\n"), [path, "HOSTNAME=other", "A=1", "HOME=/root"]);
    await cli.ok("rmi", "web:made");
  });

  it("an exec has its own user's home, and a terminal's variable with a terminal alone", async () => {
    const env = (...args: string[]) => cli.ok("exec", ...args, "env");
    assert.match(await env("-u", "app", "web-1"), /^HOME=\/home\/app$/m);
    assert.doesNotMatch(await env("web-1"), /^TERM=/m);
    assert.match(await env("-t", "near"), /^TERM=xterm\r?$/m);
    assert.match(await env("-u", "app", "-e", "HOME=/here", "-e", "A=2", "web-1"), /^A=2\nHOME=\/here$/m);
  });

  it("an exec that cannot be says so on its standard output, whatever it is sent", async () => {
    const input = Buffer.alloc(3 << 20);
    const { code, stdout, stderr } = await cli.run(["exec", "-i", "web-1", "nothing"], { input });
    assert.deepEqual([code, stderr], [127, ""]);
    assert.match(stdout, /exec: "nothing": executable file not found in \$PATH/);
  });

  it("an exec's terminal takes a size that is asked for before it is there", async () => {
    const call = (path: string, body: object) =>
      raw(fixture.lab.socket("node1"), "POST", path, JSON.stringify(body));
    const Cmd = ["sh", "-c", "until busybox stty size | grep '10 20'; do sleep 0.1; done; touch /tmp/sized"];
    const { Id } = await fixture.lab.rest("node1").post<Json>("/containers/web-1/exec", { Cmd, Tty: true });
    const sized = call(`/exec/${Id}/resize?h=10&w=20`, {});
    assert.equal((await call(`/exec/${Id}/start`, { Detach: true, Tty: true })).status, 200);
    assert.equal((await sized).status, 200);
    await until(
      "the size",
      async () => (await cli.run(["exec", "web-1", "test", "-e", "/tmp/sized"])).code === 0,
    );
  });

  it("events tell of volumes that a container brings, and of top", async () => {
    const since = `${Date.now() / 1000 - 0.001}`;
    await cli.ok("create", "--name", "brings", "-v", "brought:/b", "busybox", "true");
    await cli.ok("rm", "brings");
    await cli.ok("volume", "rm", "brought");
    await cli.ok("top", "web-1");
    const { stderr } = await cli.fails("run", "--name", "missing", "busybox", "nothing");
    assert.match(
      stderr,
      /^docker: [^\n]*not found in \$PATH\n\nRun 'docker run --help' for more information\n$/,
    );
    const end = `${Date.now() / 1000 + 1}`;
    const format = ["--format", "{{.Type}} {{.Action}} {{.Actor.ID}}"];
    const said = (await cli.ok("events", "--since", since, "--until", end, ...format)).split("\n");
    const { Id } = await inspect("web-1");
    const missing = (await inspect("missing")).Id;
    const actions = said.filter((line) => line.startsWith("container") && line.endsWith(missing));
    assert.deepEqual(
      actions.map((line) => line.split(" ")[1]),
      ["create", "attach"],
      "what was not started does not die",
    );
    await cli.ok("rm", "missing");
    for (const line of ["volume create brought", `container top ${Id}`]) assert.ok(said.includes(line), line);
  });

  it("networks are told of also while they have no address", async () => {
    const networks = async (name: string) => (await inspect(name)).NetworkSettings.Networks;
    for (const [name, network] of [
      ["web-2", "mine"],
      ["done", "bridge"],
      ["alone", "none"],
    ] as const) {
      const told = await networks(name);
      assert.deepEqual([Object.keys(told), told[network].IPAddress], [[network], ""]);
    }
    assert.ok((await networks("web-1")).bridge.IPAddress);
    const { Id } = await inspect("web-1");
    assert.equal((await inspect("near")).HostConfig.NetworkMode, `container:${Id}`);
    assert.equal(await cli.ok("ps", "-a", "--filter", "network=mine", "--format", "{{.Names}}"), "web-2");
  });

  it("what is the engine's default is told as it is", async () => {
    const { Config, HostConfig, Mounts } = await inspect("web-1");
    assert.deepEqual([HostConfig.Binds, HostConfig.Mounts], [["kept:/v"], undefined]);
    assert.deepEqual(
      [HostConfig.ShmSize, HostConfig.MemorySwap, HostConfig.MemorySwappiness, Config.Volumes],
      [64 << 20, 128 << 20, null, null],
    );
    assert.ok(
      HostConfig.MaskedPaths.includes("/proc/kcore") && HostConfig.ReadonlyPaths.includes("/proc/sys"),
    );
    assert.deepEqual(
      Mounts.map(({ Destination }: Json) => Destination),
      ["/v"],
    );
  });

  it("the marks of a container are there, and are no change of its own", async () => {
    const look = "stat -c '%a %s' /.dockerenv; busybox readlink /etc/mtab";
    for (const args of [
      ["exec", "web-1"],
      ["run", "--rm", "--read-only", "busybox"],
    ])
      assert.equal(await cli.ok(...args, "sh", "-c", look), "755 0\n/proc/mounts");
    assert.equal(await cli.ok("diff", "done"), "");
    assert.match(await cli.ok("ps", "-as", "-f", "name=done", "--format", "{{.Size}}"), /^0B \(virtual/);
  });

  it("where its files and its network are can be looked at", async () => {
    const { State, GraphDriver, NetworkSettings } = await inspect("web-1");
    const node = (...command: string[]) => fixture.lab.exec("node1", command);
    const { LowerDir, UpperDir, MergedDir, WorkDir } = GraphDriver.Data;
    const places = [`${LowerDir}/bin/busybox`, `${UpperDir}/.dockerenv`, `${MergedDir}/.dockerenv`, WorkDir];
    assert.equal(node("ls", ...places).stderr, "");
    const image = JSON.parse(await cli.ok("image", "inspect", "busybox"))[0];
    assert.deepEqual(image.GraphDriver, { Data: { UpperDir: LowerDir }, Name: "overlay2" });
    const { SandboxID, SandboxKey } = NetworkSettings;
    assert.ok(SandboxKey.endsWith(`/${SandboxID}`));
    const [own, told] = [`/proc/${State.Pid}/ns/net`, SandboxKey].map(
      (path) => node("stat", "-Lc", "%i", path).stdout,
    );
    assert.equal(own, told);
    assert.equal((await inspect("done")).NetworkSettings.SandboxKey, "");
  });

  it("an image goes by its id once its name is another's", async () => {
    await cli.ok("tag", "busybox", "moves:1");
    await cli.ok("create", "--name", "first", "moves:1");
    const image = (...args: string[]) => cli.ok("ps", "-a", ...args, "--format", "{{.Image}}");
    assert.equal(await image("-f", "name=first"), "moves:1");
    await cli.ok("commit", "-c", "ONBUILD RUN x", "done", "moves:1");
    assert.deepEqual(
      JSON.parse(await cli.ok("image", "inspect", "-f", "{{json .Config.OnBuild}}", "moves:1")),
      ["RUN x"],
    );
    const { Image, Config } = await inspect("first");
    assert.equal(await image("-f", "name=first"), Image.slice(7, 19));
    assert.equal(await image("-f", "name=first", "--no-trunc"), Image);
    assert.deepEqual([Config.Image, await image("-f", "ancestor=moves:1")], ["moves:1", ""]);
    await cli.ok("rm", "first");
    await cli.ok("rmi", "moves:1");
  });

  describe("ps --filter", () => {
    const names = async (...filters: string[]) => {
      const args = filters.flatMap((filter) => ["--filter", filter]);
      return (await cli.ok("ps", "-a", ...args, "--format", "{{.Names}}")).split("\n").sort();
    };
    it("name takes expressions", async () => {
      assert.deepEqual(await names("name=web-[0-9]"), ["web-1", "web-2"]);
      assert.deepEqual(await names("name=^/(web|do).*[1e]$"), ["done", "web-1"]);
      assert.deepEqual(await names("name=(", "name=^alone$"), ["alone"]);
      // of a time that grows with the name's length
      assert.deepEqual(await names("name=^/([a-z]+)+!"), [""]);
    });
    it("publish is about the host's port", async () => {
      const { HostPort } = (await inspect("web-1")).NetworkSettings.Ports["80/tcp"][0];
      assert.deepEqual(await names(`publish=${HostPort}`), ["web-1"]);
      assert.deepEqual(await names("publish=80"), [""]);
      assert.deepEqual(await names("expose=80", `publish=${HostPort}/udp`), ["web-1"]);
    });
    for (const filter of ["status=odd", "health=odd", "exited=odd", "odd=1"])
      it(`${filter} is refused`, async () => {
        assert.match((await cli.fails("ps", "-a", "--filter", filter)).stderr, /invalid filter/i);
      });
  });

  it("an image's history has sizes, one made long ago its date, an imported one its origin", async () => {
    assert.match(await cli.ok("history", "--human=false", "--format", "{{.Size}}", "busybox"), /^\d{6,}$/m);
    assert.equal(await cli.ok("image", "inspect", "-f", "{{.Created}}", "busybox"), "1970-01-01T00:00:00Z");
    const file = join(fixture.lab.dir, "flat.tar");
    await cli.ok("export", "-o", file, "done");
    await cli.ok("import", file, "flat");
    assert.equal(await cli.ok("image", "inspect", "-f", "{{.Comment}}", "flat"), "Imported from -");
    await cli.ok("rmi", "flat");
  });

  describe("and when all is pruned", () => {
    it("goes what nobody uses", async () => {
      await cli.ok("run", "--name", "large", "busybox", "sh", "-c", "head -c 3000000 /dev/zero > /large");
      const unnamed = await cli.ok("volume", "create");
      await cli.ok("volume", "create", "named");
      const said = await cli.ok("system", "prune", "--force", "--volumes");
      assert.match(said, /Total reclaimed space: 3MB/);
      assert.ok(said.includes(unnamed) && said.includes((await inspect("web-1")).Id) === false);
      assert.equal(await cli.ok("volume", "ls", "--quiet"), "kept\nnamed");
      assert.equal(await cli.ok("ps", "-aq", "--filter", "name=web-2"), "");
    });
  });
});
