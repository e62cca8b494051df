import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lab } from "../../tools/src/lab/lab.ts";
import { root } from "../../tools/src/root.ts";
import { program } from "../src/cli.ts";
import { assertNothingLeft, tracesOf } from "../src/leaks.ts";
import { until } from "../src/wait.ts";

const tool = join(root, "tools/lab");

describe("tools/lab", function () {
  this.timeout(180_000);
  let dirs: string[] = [];
  const makeDir = () => {
    const dir = mkdtempSync(join(tmpdir(), "ce-"));
    dirs.push(dir);
    return dir;
  };
  const lab = (...args: string[]) => program(tool, args);
  const ok = (...args: string[]) => {
    const result = lab(...args);
    assert.equal(result.code, 0, `${args.join(" ")}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  };
  beforeEach(() => {
    dirs = [];
  });
  afterEach(async () => {
    for (const dir of dirs) {
      if (existsSync(join(dir, "lab.json"))) lab("down", "--dir", dir);
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it("makes two labs side by side; exec, cut, heal, kill, restart, down", async () => {
    const [a, b] = [makeDir(), makeDir()];
    assert.match(ok("up", "--nodes", "3", "--managers", "3", "--dir", a), /node3 has joined as a manager/);
    ok("up", "--nodes", "2", "--join=false", "--dir", b);
    assert.ok(
      existsSync(join(a, "node1/creel.sock")) &&
        existsSync(join(a, "node3/data")) &&
        existsSync(join(b, "node2/creel.sock")),
    );
    assert.equal(ok("exec", "--dir", a, "node2", "--", "hostname").trim(), "node2");
    assert.equal(lab("exec", "--dir", a, "node2", "--", "sh", "-c", "exit 9").code, 9);
    const address = (dir: string, node: string) =>
      new RegExp(`${node}\t(\\S+)`).exec(ok("ls", "--dir", dir))![1]!;
    const reach = (from: string, to: string) =>
      lab(
        "exec",
        "--dir",
        a,
        from,
        "--",
        "bash",
        "-c",
        `timeout 2 bash -c '</dev/tcp/${address(a, to)}/2377'`,
      ).code === 0;
    assert.ok(reach("node1", "node2"));
    ok("cut", "--dir", a, "node2");
    assert.ok(!reach("node1", "node2"));
    ok("heal", "--dir", a, "node2");
    await until("node2 is back", async () => reach("node1", "node2"));
    ok("kill", "--dir", a, "node3");
    assert.match(ok("ls", "--dir", a), /node3\t\S+\tdown/);
    assert.match(lab("exec", "--dir", a, "node3", "--", "true").stderr, /node3 is down/);
    ok("restart", "--dir", a, "node3");
    assert.match(ok("ls", "--dir", a), /node3\t\S+\tup/);
    const traces = [a, b].map((dir) => tracesOf(Lab.open(dir)));
    ok("down", "--dir", a);
    assert.match(ok("ls", "--dir", b), /node1\t\S+\tup/);
    ok("down", "--dir", b);
    for (const each of traces) await assertNothingLeft(each);
  });

  it("is taken down whole after it was killed half-way up", async () => {
    const dir = makeDir();
    const child = spawn(tool, ["up", "--nodes", "3", "--dir", dir], { stdio: "ignore" });
    await until("the first host", async () => existsSync(join(dir, "node1")));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.on("close", resolve));
    const traces = tracesOf(Lab.open(dir));
    ok("down", "--dir", dir);
    await assertNothingLeft(traces);
  });

  it("says what is wrong", () => {
    const dir = makeDir();
    assert.match(lab("down", "--dir", dir).stderr, /no lab in/);
    assert.match(lab("up", "--dir", dir, "--nodes", "none").stderr, /a number from 1 to 200/);
    assert.match(lab("up", "--dir", dir, "--nodes", "2", "--managers", "3").stderr, /3 managers of 2 nodes/);
  });
});
