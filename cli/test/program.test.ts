import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { candidatesFor } from "../src/commands/completion/candidates.ts";
import type { Context } from "../src/context.ts";
import { complete, fullName, makeProgram } from "../src/program.ts";

const creel = new URL("../../bin/creel", import.meta.url).pathname;

async function leaves(command: Command): Promise<Command[]> {
  await complete(command);
  if (command.commands.length === 0) return [command];
  return (await Promise.all(command.commands.map(leaves))).flat();
}

describe("the command tree", function () {
  this.timeout(30_000);
  it("has a summary, a description and examples for each command", async () => {
    const all = await leaves(makeProgram());
    assert.ok(all.length > 90, `${all.length} commands`);
    for (const command of all) {
      const name = fullName(command);
      if (name.includes("__complete")) continue;
      assert.ok(command.summary() !== "", name);
      let help = "";
      command.configureOutput({ writeOut: (text) => (help += text) });
      command.outputHelp();
      assert.match(help, /\nExamples:\n {2}(creel|docker) /, name);
      assert.doesNotMatch(help, /undefined/, name);
    }
  });
  it("asks for nothing that was not said: --no-x is a default only where there is no --x", async () => {
    const update = (await leaves(makeProgram())).find(
      (command) => fullName(command) === "creel service update",
    )!;
    assert.deepEqual(update.opts(), { healthcheck: true, resolveImage: true });
  });
  it("takes --help after each command and group", async () => {
    const groups = async (command: Command): Promise<Command[]> => {
      await complete(command);
      return [command, ...(await Promise.all(command.commands.map(groups))).flat()];
    };
    const program = makeProgram();
    for (const command of await groups(program)) {
      if (command.name() === "__complete") continue;
      const name = fullName(command);
      let help = "";
      command.configureOutput({ writeOut: (text) => (help += text) });
      const end = await program.parseAsync([...name.split(" ").slice(1), "--help"], { from: "user" }).then(
        () => "no end",
        (error: { code: string }) => error.code,
      );
      assert.equal(end, "commander.helpDisplayed", name);
      assert.match(help, new RegExp(`^Usage: ${name}[ |]`));
    }
  });
  it("has no option twice, and a description for each", async () => {
    for (const command of await leaves(makeProgram())) {
      for (const option of command.options.filter(({ hidden }) => !hidden))
        assert.ok(option.description !== "", `${fullName(command)} ${option.flags}`);
    }
  });
});

describe("completion", function () {
  this.timeout(30_000);
  const words = async (...line: string[]) => {
    const program = makeProgram();
    return (await candidatesFor({ program } as Context, line)).map(([word]) => word);
  };
  it("offers commands, options and choices", async () => {
    assert.deepEqual(await words("serv"), ["service"]);
    assert.deepEqual(await words("service", "r"), ["rm", "rollback"]);
    assert.ok((await words("service", "create", "--update-o")).includes("--update-order"));
    assert.deepEqual(await words("service", "create", "--update-order", ""), ["stop-first", "start-first"]);
    assert.deepEqual(await words("swarm", "join-token", ""), ["worker", "manager"]);
    assert.deepEqual(await words("completion", "z"), ["zsh"]);
    assert.ok(!(await words("")).includes("__complete"));
  });
  it("goes over options before the command, and their values", async () => {
    assert.deepEqual(await words("-H", "unix:///none.sock", "network", "pr"), ["prune"]);
    assert.deepEqual(await words("node", "update", "--role", "worker", "--availability", "d"), ["drain"]);
  });
  it("offers nothing, not an error, where no daemon answers", async () => {
    assert.deepEqual(await words("-H", "unix:///none.sock", "rm", ""), []);
  });
  for (const shell of ["bash", "zsh", "fish"]) {
    it(`prints a script that ${shell} can read`, function () {
      const { stdout, status } = spawnSync(creel, ["completion", shell], { encoding: "utf8" });
      assert.equal(status, 0);
      assert.match(stdout, /__complete/);
      assert.doesNotMatch(stdout, /\\\$/);
      const dir = mkdtempSync(join(tmpdir(), "creel-cli-"));
      writeFileSync(join(dir, "script"), stdout);
      const check = spawnSync(shell, ["-n", join(dir, "script")], { encoding: "utf8" });
      rmSync(dir, { recursive: true, force: true });
      if (check.error !== undefined) return this.skip();
      assert.equal(check.status, 0, check.stderr);
    });
  }
  it("works in bash, with words that hold a colon", () => {
    const dir = mkdtempSync(join(tmpdir(), "creel-cli-"));
    const script = `
      creel() { ${creel} "$@"; }
      source <(creel completion bash)
      try() { COMP_LINE=$1 COMP_POINT=\${#1}; _creel; echo "\${COMPREPLY[*]}"; }
      try "creel service r"
      try "creel context use d"`;
    const env = { ...process.env, DOCKER_CONFIG: dir };
    const { stdout, stderr } = spawnSync("bash", ["-c", script], { encoding: "utf8", env });
    rmSync(dir, { recursive: true, force: true });
    assert.equal(stdout, "rm rollback\ndefault\n", stderr);
  });
});

describe("bin/creel", function () {
  this.timeout(30_000);
  it("names a compose file as it is reached from here", () => {
    const cwd = mkdtempSync(join(tmpdir(), "creel-cli-"));
    mkdirSync(join(cwd, "below"));
    writeFileSync(join(cwd, "compose.yaml"), "service: {}\n");
    const said = (folder: string) =>
      spawnSync(creel, ["up"], { encoding: "utf8", cwd: join(cwd, folder) }).stderr;
    try {
      assert.match(said("."), /^creel: compose\.yaml:1:1: service: /);
      assert.match(said("below"), /^creel: \.\.\/compose\.yaml:1:1: service: /);
    } finally {
      rmSync(cwd, { recursive: true });
    }
  });
  const run = (...args: string[]) =>
    spawnSync(creel, ["-H", "unix:///nowhere/creel.sock", ...args], { encoding: "utf8" });
  it("ends with docker's exit statuses", () => {
    assert.equal(run("--version").stdout, "Creel version 0.1.0\n");
    assert.equal(run("ps", "--help").status, 0);
    assert.match(run("help", "service", "scale").stdout, /^Usage: creel service scale /);
    assert.match(run("help", "service", "nope").stderr, /unknown command 'nope'/);
    assert.equal(run("ps").status, 1);
    assert.match(
      run("ps").stderr,
      /cannot connect to the daemon at unix:\/\/\/nowhere\/creel\.sock: is creeld running\?/,
    );
    assert.equal(run("run", "x").status, 125);
    for (const [status, ...words] of [
      [125, "ps", "--nope"],
      [125, "ps", "--last", "x"],
      [125, "ps", "--filter"],
      [0],
      [0, "service"],
      [1, "nope"],
      [1, "service", "nope"],
      [1, "service", "create"],
      [1, "run"],
      [1, "ps", "more"],
    ] as [number, ...string[]][]) {
      const ended = run(...words);
      assert.deepEqual([ended.status, ended.stderr === ""], [status, false], words.join(" "));
    }
    assert.match(run("context", "rm", "nope").stderr, /^creel: context "nope" does not exist/);
    assert.match(run("rm", "x").stderr, /^creel: cannot connect to the daemon/);
    const tls = ["--tlsverify", "--tlscacert", "/dev/null", "--tlscert", creel, "--tlskey", creel];
    assert.match(
      run("-H", "tcp://127.0.0.1:1", ...tls, "ps").stderr,
      /^creel: the certificates for tcp:\/\/127\.0\.0\.1:1 cannot be used: .*PEM/,
    );
    const scaled = run("service", "scale", "web=x");
    assert.deepEqual(
      [scaled.status, scaled.stderr],
      [1, "creel: invalid scale specifier 'web=x': SERVICE=REPLICAS\n"],
    );
    assert.match(run("ps", "--nope").stderr, /unknown option '--nope'[\s\S]*see 'creel ps --help'/);
    assert.match(run("servce").stderr, /unknown command 'servce'[\s\S]*Did you mean service\?/);
  });
});
