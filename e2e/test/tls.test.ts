import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../tools/src/root.ts";
import { TestAuthority } from "../src/certificates.ts";
import { program } from "../src/cli.ts";
import { useLab } from "../src/fixture.ts";

const creeld = join(root, "bin/creeld");

describe("creeld over TCP", function () {
  this.timeout(180_000);
  const dir = mkdtempSync(join(tmpdir(), "ce-tls-"));
  const certificates = join(dir, "daemon");
  // the lab's flags name files that are made before it starts
  const flags = [
    ...["--tlsverify", "--tlscacert", join(certificates, "ca.pem")],
    ...["--tlscert", join(certificates, "cert.pem"), "--tlskey", join(certificates, "key.pem")],
    ...["--host", "tcp://0.0.0.0:2376", "--host", "tcp://127.0.0.1:2999"],
  ];
  let authority: TestAuthority;
  before(async () => {
    authority = await TestAuthority.create();
    // a lab's address is settled when it is made: clients are told to expect the name below instead
    await authority.issue(certificates, "localhost", { addresses: ["127.0.0.1"] });
  });
  const fixture = useLab({ nodes: 1, join: false, flags });
  after(() => rmSync(dir, { recursive: true, force: true }));

  function docker(certPath: string | undefined, port: number, ...args: string[]) {
    const client = certPath === undefined ? [] : [`DOCKER_CERT_PATH=${certPath}`, "DOCKER_TLS_VERIFY=1"];
    const { code, stdout, stderr } = fixture.lab.exec("node1", [
      "env",
      ...["DOCKER_CONFIG=/nonexistent", `DOCKER_HOST=tcp://127.0.0.1:${port}`, ...client],
      "docker",
      ...args,
    ]);
    return { code, stdout: stdout.trim(), stderr: stderr.trim() };
  }

  it("serves clients with a certificate of the authority, on every address", async () => {
    const mine = await authority.issue(join(dir, "client"), "client");
    for (const port of [2376, 2999]) {
      const { code, stdout, stderr } = docker(mine, port, "info", "--format", "{{.Name}}");
      assert.deepEqual([code, stdout], [0, "node1"], stderr);
    }
  });

  it("refuses clients without one, with another authority's, and with one whose time is over", async () => {
    const stranger = await (await TestAuthority.create()).issue(join(dir, "stranger"), "client");
    writeFileSync(join(stranger, "ca.pem"), readCa());
    const old = await authority.issue(join(dir, "old"), "client", { expired: true });
    const bare = join(dir, "bare");
    mkdirSync(bare);
    writeFileSync(join(bare, "ca.pem"), readCa());
    for (const path of [stranger, old]) assert.notEqual(docker(path, 2376, "info").code, 0, path);
    const none = fixture.lab.exec("node1", [
      "env",
      "DOCKER_CONFIG=/nonexistent",
      "docker",
      ...["-H", "tcp://127.0.0.1:2376", "--tlscacert", join(bare, "ca.pem"), "--tlsverify", "info"],
    ]);
    assert.notEqual(none.code, 0);
    // whether the client still reads the alert is a matter of time
    assert.match(none.stderr, /certificate required|remote error: tls|connection reset|broken pipe/);
    const clear = docker(undefined, 2376, "info");
    assert.notEqual(clear.code, 0);
    assert.equal((await fixture.lab.rest("node1").get<string>("/_ping")).trim(), "OK");
  });

  it("keeps a second daemon away from what it uses", () => {
    const home = join(fixture.lab.dir, "node1");
    const pid = readFileSync(join(home, "creeld.pid"), "utf8").trim();
    const second = fixture.lab.exec("node1", [
      creeld,
      ...["--data-root", join(home, "data"), "--exec-root", join(home, "run")],
      ...["--pidfile", join(home, "creeld.pid"), "--host", `unix://${home}/second.sock`],
    ]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, new RegExp(`process with PID ${pid} is still running .*: stop it first`));
    const elsewhere = fixture.lab.exec("node1", [
      creeld,
      ...["--data-root", join(home, "data"), "--exec-root", join(home, "run")],
      ...["--pidfile", join(home, "other.pid"), "--host", `unix://${fixture.lab.socket("node1")}`],
    ]);
    assert.equal(elsewhere.code, 1);
    assert.match(elsewhere.stderr, /cannot listen on .*creel\.sock: another process serves it already/);
  });

  const readCa = () => readFileSync(join(certificates, "ca.pem"));
});

describe("creeld's configuration", function () {
  this.timeout(180_000);
  const dir = mkdtempSync(join(tmpdir(), "ce-conf-"));
  after(() => rmSync(dir, { recursive: true, force: true }));

  function file(content: unknown): string {
    const path = join(dir, "daemon.json");
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  }
  /** creeld with roots of its own; it must end by itself. */
  function start(...args: string[]) {
    const roots = ["--data-root", join(dir, "data"), "--exec-root", join(dir, "run")];
    const { code, stdout, stderr } = program(creeld, [...roots, ...args]);
    return { code, said: stdout + stderr };
  }
  function refused(pattern: RegExp, ...args: string[]): void {
    const { code, said } = start(...args);
    assert.notEqual(code, 0, said);
    assert.match(said, pattern);
    assert.doesNotMatch(said, /\n\s+at /, "no stack trace for a person");
  }

  it("refuses tcp without TLS, and says how it is meant to be", () => {
    refused(/act as root here: ask clients for certificates with --tlsverify/, "-H", "tcp://127.0.0.1:2375");
    refused(/act as root here/, "-H", "tcp://127.0.0.1:2376", "--tls");
    refused(/invalid bind address \(http:\/\/x\): use unix:/, "-H", "http://x");
  });

  it("refuses what it does not know", () => {
    refused(/unknown option '--no-such-flag'[\s\S]*See 'creeld --help'/, "--no-such-flag");
    refused(/loud[\s\S]*debug, info, warn, error, fatal/, "--log-level", "loud");
    refused(/--metrics-addr/, "--metrics-addr", "everywhere");
    refused(/bad attribute format: zone/, "--label", "zone");
  });

  it("names a certificate that it cannot read, before anything runs", () => {
    const missing = join(dir, "missing.pem");
    const tls = ["--tlsverify", "--tlscacert", missing, "--tlscert", missing, "--tlskey", missing];
    refused(/cannot read --tlscert: .*missing\.pem/, "-H", "tcp://127.0.0.1:2376", ...tls);
    assert.notEqual(program("/bin/ls", [join(dir, "run/engine.pid")]).code, 0);
  });

  it("refuses a file that is missing, broken, unknown or contradicts a flag", () => {
    refused(/no such file/, "--config-file", join(dir, "none.json"));
    refused(/unable to configure the daemon with file .*daemon\.json/, "--config-file", file("{"));
    refused(/don't match any configuration option: data_root/, "--config-file", file({ data_root: "/x" }));
    refused(/hosts must be a list of strings/, "--config-file", file({ hosts: "unix:///x" }));
    refused(
      /specified both as a flag and in the configuration file: log-level/,
      ...["--config-file", file({ "log-level": "warn" }), "--log-level", "debug"],
    );
    refused(/invalid logging level: loud/, "--config-file", file({ "log-level": "loud" }));
  });

  it("checks a configuration without starting", () => {
    const { code, said } = start("--validate", "--config-file", file({ debug: true, labels: ["zone=a"] }));
    assert.deepEqual([code, said.trim()], [0, "configuration OK"]);
  });

  it("refuses a data root that a newer version has written", () => {
    const data = join(dir, "newer");
    mkdirSync(data);
    writeFileSync(join(data, "format"), "99\n");
    const { code, stderr } = program(creeld, ["--data-root", data, "--exec-root", join(dir, "run2")]);
    assert.notEqual(code, 0);
    assert.match(stderr, /newer\/format was written by a newer Creel \(format 99; this one knows 1\)/);
  });
});
