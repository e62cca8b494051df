import assert from "node:assert/strict";
import { connect } from "node:net";
import { seededRandom } from "@creel/shared";
import { dockerRoutes } from "../src/http/docker-routes.ts";
import { startApi, type TestApi } from "./support.ts";

describe("the API's front door", function () {
  this.timeout(20_000);
  let api: TestApi;
  before(async () => {
    api = await startApi();
  });
  after(() => api.close());

  it("answers ping with what clients negotiate by", async () => {
    for (const method of ["GET", "HEAD"]) {
      const { status, headers } = await api.call(method, "/_ping");
      assert.equal(status, 200);
      assert.equal(headers["api-version"], "1.51");
      assert.equal(headers.ostype, "linux");
      assert.equal(headers["docker-experimental"], "false");
      assert.equal(headers.swarm, "inactive");
    }
    assert.equal((await api.call("GET", "/v1.24/_ping")).text, "OK");
  });

  it("refuses versions that it does not speak, in Docker's words", async () => {
    const old = await api.call("GET", "/v1.23/info");
    assert.equal(old.status, 400);
    assert.match(
      old.json().message!,
      /^client version 1\.23 is too old\. Minimum supported API version is 1\.24/,
    );
    const young = await api.call("GET", "/v1.99/info");
    assert.equal(young.status, 400);
    assert.match(young.json().message!, /^client version 1\.99 is too new/);
    assert.equal((await api.call("GET", "/v1.9/info")).status, 400);
  });

  it("tells unknown pages from routes that are not there yet", async () => {
    const unknown = await api.call("GET", "/v1.40/nowhere");
    assert.deepEqual([unknown.status, unknown.json().message], [404, "page not found"]);
    const missing = await api.call("GET", "/v1.40/containers/x/attach/ws");
    assert.equal(missing.status, 501);
    assert.match(missing.json().message!, /GET \/containers\/\{id\}\/attach\/ws is not implemented/);
    assert.equal((await api.call("POST", "/plugins/vendor/name/enable")).status, 501);
    const plugin = await api.call("GET", "/plugins/vendor/name:1/json");
    assert.deepEqual([plugin.status, plugin.json().message], [404, 'plugin "vendor/name:1" not found']);
    // bodies that are no JSON make no other answer of it
    const archive = Buffer.alloc(12 << 20, 7);
    const build = await api.call("POST", "/v1.45/build?t=x", archive);
    assert.deepEqual(
      [build.status, build.json().message],
      [501, "POST /build is not implemented by this version of Creel"],
    );
    assert.equal((await api.call("PUT", "/containers/x/archive?path=/", archive)).status, 503);
    assert.equal((await api.call("POST", "/nowhere", archive)).status, 404);
  });

  it("has an answer of its own for every route of Docker's, and never another's", async () => {
    // events are a stream without an end
    for (const { method, route } of dockerRoutes.filter((each) => each.route !== "/events")) {
      const path = route.replace("{id}", "x").replace("{name}", "x");
      const { status, text } = await api.call(method, `/v1.51${path}`, method === "POST" ? "{}" : undefined);
      assert.doesNotMatch(text, /page not found/, `${method} ${route}`);
      if (status === 501 && method !== "HEAD")
        assert.match(text, /this version of Creel|not here/, `${method} ${route}`);
    }
  });

  it("says when the engine is away, and what becomes of it", async () => {
    const { status, json } = await api.call("GET", "/containers/json");
    assert.equal(status, 503);
    assert.match(json().message!, /creel-engine does not answer/);
  });

  it("answers for a node outside of a swarm as Docker does", async () => {
    const { status, json } = await api.call("GET", "/services");
    assert.equal(status, 503);
    assert.match(json().message!, /^This node is not a swarm manager\. Use "docker swarm init"/);
    assert.equal((await api.call("POST", "/swarm/leave")).status, 503);
  });

  it("names what is wrong in a body", async () => {
    const broken = await api.call("POST", "/containers/create", '{"Image":');
    assert.equal(broken.status, 400);
    assert.match(broken.json().message!, /^invalid JSON/);
    const wrong = await api.call(
      "POST",
      "/containers/create",
      '{"Image":"x","HostConfig":{"Memory":"lots"}}',
    );
    assert.equal(wrong.status, 400);
    assert.match(wrong.json().message!, /HostConfig\.Memory/);
    const none = await api.call("POST", "/containers/create", "");
    assert.equal(none.status, 400);
    const filter = await api.call("GET", `/containers/json?filters=${encodeURIComponent('{"nope":["1"]}')}`);
    assert.deepEqual([filter.status, filter.json().message], [400, "invalid filter 'nope'"]);
  });

  it("takes no body above its bound", async () => {
    const { status } = await api.call("POST", "/containers/create", Buffer.alloc((10 << 20) + 1, 32));
    assert.equal(status, 413);
  });

  it("answers errors on a connection that asked for an upgrade", async () => {
    const socket = connect(api.socket);
    socket.write(
      "POST /v1.45/exec/x/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 1\r\n\r\n{",
    );
    let text = "";
    for await (const part of socket) text += part;
    assert.match(text, /^HTTP\/1\.1 400 /);
    assert.match(text, /invalid JSON/);
  });

  it("goes on without an upgrade where there is none to have", async () => {
    for (const [target, status] of [
      ["GET /_ping", 200],
      ["POST /session", 501],
      ["GET //", 404],
      ["POST /exec/%zz/start", 400],
    ] as const) {
      const socket = connect(api.socket);
      socket.write(
        `${target} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n`,
      );
      let text = "";
      for await (const part of socket) text += part;
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `), target);
      assert.match(text, /x-request-id: [0-9a-f]{16}/i, target);
    }
  });

  it("never fails by itself on bodies of any shape", async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 100_000);
    const random = seededRandom(seed);
    const pick = <T>(list: T[]): T => list[Math.floor(random.next() * list.length)]!;
    const names = [
      "Image",
      "Cmd",
      "HostConfig",
      "Name",
      "TaskTemplate",
      "Mode",
      "Labels",
      "Mounts",
      "Driver",
      "IPAM",
    ];
    const value = (depth: number): unknown =>
      pick<() => unknown>([
        () => null,
        () => random.next() < 0.5,
        () => Math.floor(random.next() * 1e9) - 5e8,
        () => pick(["", "x", "/", "tcp", "\u0000", "é".repeat(20)]),
        () => (depth > 3 ? [] : [value(depth + 1), value(depth + 1)]),
        () => (depth > 3 ? {} : Object.fromEntries([1, 2, 3].map(() => [pick(names), value(depth + 1)]))),
      ])();
    const routes = [
      "/containers/create",
      "/networks/create",
      "/volumes/create",
      "/services/create",
      "/swarm/init",
      "/swarm/join",
      "/nodes/x/update",
      "/containers/x/exec",
      "/exec/x/start",
    ];
    for (let i = 0; i < 400; i++) {
      const body = JSON.stringify(value(0));
      const route = pick(routes);
      const { status, text } = await api.call("POST", route, body);
      assert.ok(status !== 500 && status >= 400, `seed ${seed}: ${route} ${body} gave ${status} ${text}`);
    }
  });
});
