import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../tools/src/root.ts";
import { program } from "../src/cli.ts";
import { assertNothingLeft } from "../src/leaks.ts";
import { until } from "../src/wait.ts";

const node = join(root, "node_modules/.bin/node");
const setup = join(root, "tools/setup.mjs");

describe("the README's first command", function () {
  this.timeout(180_000);
  /** The lab that `output` says was made has left nothing. */
  const nothingLeft = (output: string) => {
    const [, dir] = /making three hosts in (\S+)/.exec(output)!;
    const [, id] = /bridge (lab-[0-9a-f]+)/.exec(output)!;
    return assertNothingLeft({ dir: dir!, id: id!, namespaces: new Set() });
  };
  let env: NodeJS.ProcessEnv;
  beforeEach(() => {
    env = { ...process.env, TMPDIR: mkdtempSync(join(tmpdir(), "ce-")) };
  });
  afterEach(() => rmdirSync(env.TMPDIR!));

  it("npm start -- --once: three hosts, six replicas, all of them answer, nothing is left", async () => {
    const result = program(node, [setup, "start", "--once"], { env });
    assert.equal(result.code, 0, result.stdout + result.stderr);
    assert.match(
      result.stdout,
      /3 hosts, 6 replicas: 180 requests to 3 addresses, answered by all 6 replicas in turn/,
    );
    assert.match(result.stdout, /REPLICA +RUNS ON +VIA node1 +VIA node2 +VIA node3 +ANSWERS/);
    await nothingLeft(result.stdout);
  });

  it("npm start: shows a live table and how to join in, until Ctrl-C", async () => {
    const child = spawn(node, [setup, "start"], { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
    try {
      await until(
        "the live table",
        async () => /requests in the last seconds, 0 failed/.test(output),
        90_000,
      );
      const [, host] = /docker -H (unix:\S+) service ls/.exec(output)!;
      const listed = program("docker", ["-H", host!, "service", "ls"]);
      assert.match(listed.stdout, /whoami +replicated +6\/6/);
      const [, creel, where] = /(\S+bin\/creel) -H (unix:\S+) node ls/.exec(output)!;
      assert.match(program(creel!, ["-H", where!, "node", "ls"]).stdout, /node2 +Ready/);
    } finally {
      child.kill("SIGINT");
    }
    assert.equal(await closed, 0, output);
    await nothingLeft(output);
  });

  it("says in one sentence what is missing: root, a Rust toolchain", () => {
    const cargo = program(node, [setup, "start", "--once"], {
      env: { ...env, PATH: join(root, "node_modules/.bin") },
    });
    assert.equal(cargo.code, 1);
    assert.match(cargo.stderr, /^creel: a Rust toolchain is needed: .*\n$/);
    const user = program("setpriv", ["--reuid", "65534", "--clear-groups", node, setup, "start", "--once"]);
    assert.equal(user.code, 1);
    assert.match(user.stderr, /^creel: root is needed .*\n$/);
  });
});
