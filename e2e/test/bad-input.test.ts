import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { docker } from "../src/cli.ts";
import { useLab } from "../src/fixture.ts";
import { loadUsual } from "../src/images.ts";
import { converse, open, raw } from "../src/raw.ts";

const MEBIBYTE = 1 << 20;

describe("bad input", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 2, managers: 1 });
  before(() => loadUsual(fixture.lab));
  const socket = () => fixture.lab.socket("node1");
  const call = (method: string, path: string, body?: string | Buffer, headers?: Record<string, string>) =>
    raw(socket(), method, path, body, headers);
  const post = (path: string, body: unknown) => call("POST", path, JSON.stringify(body));
  const daemonPid = () => readFileSync(join(fixture.lab.dir, "node1/creeld.pid"), "utf8").trim();
  let pid = "";
  let untouched: string[] = [];
  before(async () => {
    pid = daemonPid();
    untouched = await objects();
  });

  /** All that is on the node and in the cluster, by kind and name. */
  async function objects(): Promise<string[]> {
    const rest = fixture.lab.rest("node1");
    const [containers, services, volumes, networks, images] = await Promise.all([
      rest.get<{ Id: string }[]>("/containers/json?all=1"),
      rest.get<{ ID: string }[]>("/services"),
      rest.get<{ Volumes: { Name: string }[] | null }>("/volumes"),
      rest.get<{ Name: string }[]>("/networks"),
      rest.get<{ Id: string; RepoTags: string[] }[]>("/images/json?all=1"),
    ]);
    return [
      ...containers.map(({ Id }) => `container ${Id}`),
      ...services.map(({ ID }) => `service ${ID}`),
      ...(volumes.Volumes ?? []).map(({ Name }) => `volume ${Name.slice(0, 64)}`),
      ...networks.map(({ Name }) => `network ${Name.slice(0, 64)}`),
      ...images.map(({ Id, RepoTags }) => `image ${Id} ${RepoTags}`),
    ].sort();
  }

  afterEach(async () => {
    assert.equal(await fixture.lab.rest("node1").get<string>("/_ping"), "OK");
    assert.equal(daemonPid(), pid, "the daemon was not started again");
    assert.deepEqual(await objects(), untouched, "nothing is half-created");
  });

  it("a version that does not exist", async () => {
    assert.deepEqual(await call("GET", "/v1.99/info"), {
      status: 400,
      message: "client version 1.99 is too new. Maximum supported API version is 1.51",
    });
    const old = await call("GET", "/v1.10/info");
    assert.equal(old.status, 400);
    assert.match(old.message, /^client version 1\.10 is too old\. Minimum supported API version is 1\.24/);
    assert.equal((await call("GET", "/vx/info")).status, 404);
  });

  it("routes that nobody has, and those that Docker has and Creel has not yet", async () => {
    for (const [method, path] of [
      ["GET", "/nowhere"],
      ["PUT", "/containers/json"],
      ["GET", "/v1.51/containers/x/nothing"],
      ["GET", "//"],
      ["GET", "/%2e%2e/%2e%2e/etc/passwd"],
      ["DELETE", "/info"],
    ] as const) {
      assert.deepEqual(await call(method, path), { status: 404, message: "page not found" }, path);
    }
    const missing = await call("POST", "/v1.51/build?t=x");
    assert.equal(missing.status, 501);
    assert.match(missing.message, /^POST \/build is not implemented by this version of Creel/);
    assert.equal((await call("GET", "/v1.51/images/%zz/json")).status, 400);
    const build = await docker(fixture.lab).run(["build", "-"], { input: "FROM scratch\n".repeat(50_000) });
    assert.notEqual(build.code, 0);
    assert.match(build.stderr, /POST \/build is not implemented by this version of Creel/);
  });

  it("a JSON body of 100 MB", async () => {
    const body = Buffer.alloc(100 * MEBIBYTE, 32);
    const answer = await call("POST", "/containers/create", body, { "content-type": "application/json" });
    assert.equal(answer.status, 413);
    assert.match(answer.message, /larger than 10485760 bytes/);
    const upgraded = await call("POST", "/containers/x/exec", body);
    assert.equal(upgraded.status, 413);
  });

  it("JSON that is none, is deep, or is of another shape", async () => {
    for (const body of ['{"Image":', "[1,2", "nonsense", "\u0000", Buffer.from([0xff, 0xfe, 0x00])]) {
      const { status, message } = await call("POST", "/services/create", body);
      assert.equal(status, 400);
      assert.match(message, /^invalid JSON/);
    }
    const deep = await call("POST", "/containers/create", `${"[".repeat(500_000)}${"]".repeat(500_000)}`);
    assert.equal(deep.status, 400);
    assert.equal((await post("/containers/create", { __proto__: { x: 1 }, Image: {} })).status, 400);
    assert.equal((await post("/swarm/init", [])).status, 400);
  });

  it("names and labels of 1 MB", async () => {
    const long = "n".repeat(MEBIBYTE);
    const inUrl = await call("POST", `/containers/create?name=${long}`, '{"Image":"whoami"}');
    assert.equal(inUrl.status, 431);
    assert.match(inUrl.message, /larger than 16 KiB: what is long belongs into the body/);
    const inPath = await call("GET", `/containers/${"x".repeat(4_000)}/json`);
    assert.deepEqual([inPath.status, inPath.message.slice(0, 18)], [404, "No such container:"]);
    const template = { ContainerSpec: { Image: "whoami" } };
    const refusals: [string, unknown][] = [
      ["/services/create", { Name: long, TaskTemplate: template }],
      ["/services/create", { Name: "l", Labels: { a: long }, TaskTemplate: template }],
      ["/services/create", { Name: "l", Labels: { [long]: "a" }, TaskTemplate: template }],
      [
        "/services/create",
        { Name: "l", TaskTemplate: { ContainerSpec: { Image: "whoami", Labels: { a: long } } } },
      ],
      ["/networks/create", { Name: long, Driver: "overlay" }],
      ["/networks/create", { Name: "l", Driver: "bridge", Labels: { a: long } }],
      ["/volumes/create", { Name: long }],
      ["/volumes/create", { Name: "l", Labels: { a: long } }],
      ["/containers/create", { Image: "whoami", Labels: { a: long } }],
      ["/containers/create", { Image: long }],
      ["/containers/create", { Image: "whoami", Hostname: long }],
    ];
    for (const [path, body] of refusals) {
      const { status, message } = await post(path, body);
      const what = `${path} ${JSON.stringify(body).slice(0, 60)}`;
      assert.equal(status, 400, `${what}: ${status} ${message.slice(0, 200)}`);
      assert.ok(message.length < 2_500, `${what}: an answer of ${message.length} characters`);
    }
  });

  it("specs of services that conflict, are absurd, or are of an older version", async () => {
    const task = (more = {}, container = {}) => ({
      TaskTemplate: { ContainerSpec: { Image: "whoami", ...container }, ...more },
    });
    const networks = Array.from({ length: 10_000 }, (_, n) => ({ Target: `n${n}` }));
    const labels = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`l${n}`, "x".repeat(30_000)]));
    const mode = (Mode: object) => ({ Name: "s", ...task(), Mode });
    const refusals: [number, RegExp, object | string][] = [
      [400, /must specify only one service mode/, mode({ Replicated: { Replicas: 1 }, Global: {} })],
      [400, /only one of ContainerSpec, PluginSpec/, { Name: "s", ...task({ PluginSpec: {} }) }],
      [400, /Replicas must be >= 0/, mode({ Replicated: { Replicas: -1 } })],
      [400, /Replicas must be integer/, mode({ Replicated: { Replicas: 1.5 } })],
      [400, /replicas must be between 0 and 1000000/, mode({ Replicated: { Replicas: 10 ** 7 } })],
      [400, /Replicas must be <= /, mode({ Replicated: { Replicas: 1e300 } })],
      [400, /^invalid JSON/, '{"Name":"s","Mode":{"Replicated":{"Replicas":NaN}}}'],
      [400, /completions must be between 0 and 1000000/, mode({ ReplicatedJob: { MaxConcurrent: 10 ** 7 } })],
      [400, /MaxFailureRatio must be <= 1/, { ...mode({}), UpdateConfig: { MaxFailureRatio: 2 } }],
      [400, /Delay must be >= 0/, { ...mode({}), UpdateConfig: { Delay: -1 } }],
      [400, /at most 128 networks, not 10000/, { Name: "s", ...task({ Networks: networks }) }],
      [400, /bytes, at most 1048576 are kept/, { Name: "s", Labels: labels, ...task() }],
      [
        400,
        /Interval must be <= /,
        { Name: "s", ...task({}, { Healthcheck: { Test: ["CMD", "x"], Interval: 2 ** 60 } }) },
      ],
      [400, /Must be at least 4MiB/, { Name: "s", ...task({ Resources: { Limits: { MemoryBytes: -5 } } }) }],
      [
        400,
        /at character \d+: /,
        { Name: "s", ...task({ Placement: { Constraints: ["node.role=manager"] } }) },
      ],
      [400, /image reference must be provided/, { Name: "s", ...task({}, { Image: "" }) }],
      [400, /TaskSpec: missing runtime/, { Name: "s" }],
    ];
    for (const [expected, words, body] of refusals) {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const { status, message } = await call("POST", "/services/create", text);
      assert.equal(status, expected, `${text.slice(0, 200)}: ${message}`);
      assert.match(message, words);
      assert.ok(message.length < 2_500);
    }
    const rest = fixture.lab.rest("node1");
    const { ID } = await rest.post<{ ID: string }>("/services/create", {
      Unknown: { of: "a newer client" },
      ...mode({ Replicated: { Replicas: 0 } }),
    });
    const old = await post(`/services/${ID}/update?version=1`, mode({ Replicated: { Replicas: 0 } }));
    assert.deepEqual(
      [old.status, old.message],
      [500, "rpc error: code = Unknown desc = update out of sequence"],
    );
    assert.match((await post(`/services/${ID}/update`, mode({}))).message, /invalid service version/);
    assert.equal((await post(`/services/${ID}/update?version=x`, mode({}))).status, 400);
    assert.equal((await call("DELETE", `/services/${ID}`)).status, 200);
    assert.equal((await call("DELETE", `/services/${ID}`)).status, 404);
  });

  it("what is no HTTP", async () => {
    const said = await converse(socket(), randomBytes(64));
    assert.match(said, /^HTTP\/1\.1 400 Bad Request[\s\S]*this is no HTTP request/);
    assert.match(await converse(socket(), "GET / HTTP/9.9\r\n\r\n"), /^HTTP\/1\.1 400 /);
    const smuggled =
      "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert.match(await converse(socket(), smuggled), /^HTTP\/1\.1 400 /);
  });

  it("a client that is slow with its head, and one that is slow with its body", async () => {
    const head = converse(socket(), "GET /info HTTP/1.1\r\nHost: d\r\nX-Slow: ");
    const body = converse(
      socket(),
      "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\n{",
    );
    assert.match(await head, /^HTTP\/1\.1 408 [\s\S]*send its head within 15 s/);
    assert.match(await body, /^HTTP\/1\.1 408 [\s\S]*its body within 30 s/);
  });

  it("connections that are opened and left, half-closed or cut", async () => {
    const left = await Promise.all(Array.from({ length: 50 }, () => open(socket())));
    const half = await open(socket());
    half.end("POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\n{");
    const cut = await open(socket());
    cut.write("POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nabc");
    await new Promise((resolve) => setTimeout(resolve, 50));
    cut.destroy();
    assert.equal((await call("GET", "/_ping")).status, 200);
    for (const each of [...left, half]) each.destroy();
  });

  it("1,000 connections at once, each with a request", async () => {
    const connections = await Promise.all(Array.from({ length: 1_000 }, () => open(socket())));
    const answers = await Promise.all(connections.map((each) => firstLine(each)));
    assert.deepEqual([...new Set(answers)], ["HTTP/1.1 200 OK"]);
    for (const each of connections) each.destroy();
  });

  it("archives that cannot be read", async () => {
    const gzip = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]), randomBytes(2000)]);
    const zstd = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), randomBytes(2000)]);
    const kinds: Record<string, Buffer> = {
      empty: Buffer.alloc(0),
      random: randomBytes(5000),
      text: Buffer.from("this is no archive\n".repeat(100)),
      "broken gzip": gzip,
      "broken zstd": zstd,
      "a tar without an image": tar("hello.txt", "hello"),
      "a tar whose manifest is no JSON": tar("manifest.json", "{"),
      "a tar whose manifest names what is missing": tar(
        "manifest.json",
        JSON.stringify([{ Config: "gone.json", RepoTags: ["bad:1"], Layers: ["gone.tar"] }]),
      ),
      "a tar whose manifest leads outside": tar(
        "manifest.json",
        JSON.stringify([{ Config: "../../../etc/passwd", RepoTags: ["bad:1"], Layers: [] }]),
      ),
      "a tar that is cut": tar("manifest.json", "x".repeat(3000)).subarray(0, 1500),
    };
    for (const [kind, archive] of Object.entries(kinds)) {
      const run = await docker(fixture.lab).run(["load"], { input: archive });
      assert.notEqual(run.code, 0, `${kind}: ${run.stdout}`);
      assert.ok(run.stderr.length > 10, `${kind}: ${run.stderr}`);
      assert.doesNotMatch(run.stderr, /panic|undefined|\[object/, kind);
    }
    for (const kind of ["random", "broken gzip", "broken zstd", "a tar that is cut"]) {
      const run = await docker(fixture.lab).run(["import", "-", "bad:2"], { input: kinds[kind]! });
      assert.notEqual(run.code, 0, `${kind} was imported: ${run.stdout}`);
    }
  });

  it("garbage, another protocol and silence on the cluster's port", async () => {
    const at = { host: fixture.lab.node("node1").address, port: 2377 };
    await converse(at, randomBytes(500));
    await converse(at, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const silent = await Promise.all(Array.from({ length: 20 }, () => open(at)));
    const other = await fixture.lab.rest("node1").get<{ Status: { State: string } }[]>("/nodes");
    assert.deepEqual(
      other.map(({ Status }) => Status.State),
      ["ready", "ready"],
    );
    for (const each of silent) each.destroy();
  });

  it("a node that speaks another version of the protocol", async () => {
    const error = await hello("node2", 99);
    assert.match(error.details, /the other side speaks version 99 of the protocol; this one speaks 1/);
  });

  it("a token that was rotated, and one of another cluster", async () => {
    const on = (node: string) => docker(fixture.lab, node);
    const token = await on("node1").ok("swarm", "join-token", "-q", "worker");
    await on("node1").ok("swarm", "join-token", "--rotate", "-q", "worker");
    await on("node2").ok("swarm", "leave");
    const to = `${fixture.lab.node("node1").address}:2377`;
    const rotated = await on("node2").fails("swarm", "join", "--token", token, to);
    assert.match(
      rotated.stderr,
      /the join token was refused: .*it was rotated since .*docker swarm join-token/,
    );
    await on("node2").ok("swarm", "init", "--advertise-addr", fixture.lab.node("node2").address);
    const foreign = await on("node2").ok("swarm", "join-token", "-q", "worker");
    const refused = await hello("node2", 1);
    assert.match(refused.details, /a certificate of this cluster is needed|unable to verify|self-signed/);
    await on("node2").ok("swarm", "leave", "--force");
    const wrong = await on("node2").fails("swarm", "join", "--token", foreign, to);
    assert.match(wrong.stderr, /remote CA does not match fingerprint/);
    assert.equal(await on("node2").ok("info", "--format", "{{.Swarm.LocalNodeState}}"), "inactive");
  });

  /** Opens a dispatcher session with that node's certificate and says which protocol it speaks; how it was refused. */
  function hello(node: string, protocol: number): Promise<ServiceError> {
    const identity = (of: string) =>
      JSON.parse(readFileSync(join(fixture.lab.dir, of, "data/swarm/identity.json"), "utf8")) as {
        root: string;
        certificate: string;
        keys: { tls: string };
      };
    const { certificate, keys } = identity(node);
    const pem = (text: string) => Buffer.from(text);
    const ssl = credentials.createSsl(pem(identity("node1").root), pem(keys.tls), pem(certificate), {
      checkServerIdentity: () => undefined,
    });
    const client = new Client(`${fixture.lab.node("node1").address}:2377`, ssl, {
      "grpc.ssl_target_name_override": "node.creel",
    });
    const same = (bytes: Buffer) => bytes;
    return new Promise((resolve, reject) => {
      const path = "/creel.cluster.v1.Dispatcher/Session";
      const stream = client.makeBidiStreamRequest(path, same, same, new Metadata(), {
        deadline: Date.now() + 10_000,
      });
      stream.on("data", () => reject(new Error("the session was welcomed")));
      stream.on("error", (error: ServiceError) => {
        client.close();
        resolve(error);
      });
      // AgentMessage { hello: { protocol } }
      stream.write(Buffer.from([0x0a, 0x02, 0x08, protocol]));
    });
  }
});

function firstLine(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const timer = setTimeout(() => resolve("no answer within 30 s"), 30_000);
    const done = (line: string) => {
      clearTimeout(timer);
      resolve(line);
    };
    socket.on("data", (part) => {
      text += part;
      const end = text.indexOf("\r\n");
      if (end > 0) done(text.slice(0, end));
    });
    socket.on("close", () => done(`closed after ${JSON.stringify(text)}`));
    socket.write("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
  });
}

/** A tar archive of one small file. */
function tar(name: string, content: string): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        ", 148);
  header.write("0", 156);
  header.write("ustar\u000000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content, 0);
  return Buffer.concat([header, body, Buffer.alloc(1024)]);
}
