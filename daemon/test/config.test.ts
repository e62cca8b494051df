import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Exit, readConfig } from "../src/config.ts";
import { parseHosts } from "../src/listen.ts";

describe("the daemon's configuration", () => {
  let dir: string;
  let file: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "creeld-"));
    file = join(dir, "daemon.json");
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const read = (...args: string[]) => readConfig(args, "1.2.3");
  const withFile = (content: unknown, ...args: string[]) => {
    writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
    return read("--config-file", file, ...args);
  };

  it("takes dockerd's flags", () => {
    const config = read(
      ...["--data-root", "/d", "--exec-root", "/e", "-H", "unix:///a", "--host", "unix:///b"],
      ...["--pidfile", "/p", "--log-level", "warning", "--label", "a=b", "--storage-driver", "vfs"],
    );
    assert.deepEqual(config.hosts, ["unix:///a", "unix:///b"]);
    assert.deepEqual([config.dataRoot, config.execRoot, config.pidfile], ["/d", "/e", "/p"]);
    assert.deepEqual([config.logLevel, config.labels, config.storageDriver], ["warn", ["a=b"], "vfs"]);
    assert.equal(config.engineSocket, "/e/engine.sock");
  });

  it("reads the log of containers that name none", () => {
    const wanted = ["local", ["max-size=1m", "max-file=2"]];
    const of = ({ logDriver, logOpts }: { logDriver: string; logOpts: string[] }) => [logDriver, logOpts];
    assert.deepEqual(
      of(read(..."--log-driver local --log-opt max-size=1m --log-opt max-file=2".split(" "))),
      wanted,
    );
    const options = { "max-size": "1m", "max-file": "2" };
    assert.deepEqual(of(withFile({ "log-driver": "local", "log-opts": options })), wanted);
    assert.throws(() => withFile({ "log-opts": { "max-file": 2 } }), {
      message: /log-opts must be an object/,
    });
  });

  it("reads generic resources, counted or by name", () => {
    const flags = ["gpu=a", "gpu=b", "ssd=3"].flatMap((entry) => ["--node-generic-resource", entry]);
    const wanted = { generic: { ssd: 3 }, named: { gpu: { names: ["a", "b"] } } };
    assert.deepEqual(read(...flags).genericResources, wanted);
    const inFile = { "node-generic-resources": ["gpu=a", "gpu=b", "ssd=3"] };
    assert.deepEqual(withFile(inFile).genericResources, wanted);
    for (const [entries, word] of [
      [["gpu"], /KIND=NUMBER/],
      [["gpu=a", "gpu=2"], /a number and names/],
      [["memory=2"], /counted by itself/],
    ] as const) {
      const bad = { "node-generic-resources": entries };
      assert.throws(() => withFile(bad), { message: word });
    }
  });

  it("ends with a clear word on what it does not know", () => {
    assert.throws(
      () => read("--nope"),
      (error) => error instanceof Exit && error.code === 125 && /unknown option '--nope'/.test(error.message),
    );
    assert.throws(() => read("left-over"), Exit);
    assert.throws(() => read("--label", "x"), { message: /NAME=VALUE/ });
    assert.throws(() => read("--metrics-addr", "9323"), { message: /use HOST:PORT/ });
    assert.throws(() => withFile({ "log-level": "loud" }), { message: /invalid logging level: loud/ });
  });

  it("reads a file, and refuses what contradicts or is unknown", () => {
    const config = withFile({ "data-root": "/d", hosts: ["unix:///x"], debug: true }, "--exec-root", "/e");
    assert.deepEqual([config.dataRoot, config.hosts, config.logLevel], ["/d", ["unix:///x"], "debug"]);
    assert.throws(() => withFile({ nope: 1 }), { message: /don't match any configuration option: nope/ });
    assert.throws(() => withFile({ hosts: "unix:///x" }), { message: /hosts must be a list of strings/ });
    assert.throws(() => withFile({ "data-root": "/d" }, "--data-root", "/e"), {
      message: /both as a flag and in the configuration file: data-root/,
    });
    assert.throws(() => withFile("{"), { message: /unable to configure the daemon with file/ });
    assert.throws(() => read("--config-file", join(dir, "none.json")), { message: /ENOENT/ });
  });

  it("serves tcp to nobody unless clients show certificates, or it is said", () => {
    assert.throws(() => parseHosts(read("-H", "tcp://0.0.0.0:2375")), { message: /--tlsverify/ });
    assert.throws(() => parseHosts(read("-H", "tcp://0.0.0.0", "--tls")), { message: /--tlsverify/ });
    assert.deepEqual(parseHosts(read("-H", "tcp://", "--tlsverify"))[0], {
      scheme: "tcp",
      host: "127.0.0.1",
      port: 2376,
      name: "tcp://",
    });
    assert.deepEqual(parseHosts(read("-H", "tcp://[::1]:99", "--insecure-tcp"))[0], {
      scheme: "tcp",
      host: "::1",
      port: 99,
      name: "tcp://[::1]:99",
    });
    for (const bad of ["http://x", "tcp://a:b", "/run/x.sock"])
      assert.throws(() => parseHosts(read("-H", bad, "--insecure-tcp")), { message: /invalid bind address/ });
  });
});
