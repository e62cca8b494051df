import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContextStore } from "../src/config/contexts.ts";
import { contextName, parseAddress, resolveHost } from "../src/rest/host.ts";

describe("the daemon's address", () => {
  let dir = "";
  const env = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({ DOCKER_CONFIG: dir, ...more });
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "creel-cli-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it("is -H, else CREEL_HOST or DOCKER_HOST", () => {
    assert.deepEqual(resolveHost({ host: "unix:///x.sock" }, env()), { socketPath: "/x.sock" });
    assert.deepEqual(resolveHost({}, env({ DOCKER_HOST: "tcp://10.0.0.1:99" })), {
      host: "10.0.0.1",
      port: 99,
    });
    assert.deepEqual(resolveHost({ host: "h" }, env({ DOCKER_HOST: "tcp://other" })), {
      host: "h",
      port: 2375,
    });
    assert.deepEqual(parseAddress("tcp://[::1]:80"), { host: "::1", port: 80 });
    for (const bad of ["ftp://x", "tcp://", "ssh://host"]) assert.throws(() => parseAddress(bad), /host|ssh/);
  });

  it("has docker's certificates with DOCKER_TLS_VERIFY", () => {
    writeFileSync(join(dir, "ca.pem"), "CA");
    const host = resolveHost({}, env({ DOCKER_HOST: "tcp://h", DOCKER_TLS_VERIFY: "1" }));
    assert.deepEqual(host, {
      host: "h",
      port: 2376,
      tls: { ca: Buffer.from("CA"), rejectUnauthorized: true },
    });
    assert.equal(resolveHost({ host: "h", tls: true }, env()).tls?.rejectUnauthorized, false);
  });

  it("is that of the context: --context, DOCKER_CONTEXT, then docker's current one", () => {
    const store = new ContextStore(dir);
    const make = (Name: string) =>
      store.save(
        { Name, Metadata: {}, Endpoints: { docker: { Host: `tcp://${Name}:1`, SkipTLSVerify: true } } },
        { ca: Buffer.from(Name) },
      );
    for (const name of ["one", "two", "three"]) make(name);
    store.use("one");
    assert.equal(resolveHost({}, env()).host, "one");
    assert.equal(resolveHost({}, env({ DOCKER_CONTEXT: "two" })).host, "two");
    const host = resolveHost({ context: "three" }, env({ DOCKER_CONTEXT: "two", DOCKER_HOST: "tcp://four" }));
    assert.deepEqual(host, {
      host: "three",
      port: 1,
      tls: { ca: Buffer.from("three"), rejectUnauthorized: false },
    });
    assert.equal(contextName({}, env({ DOCKER_HOST: "tcp://four" })), "default");
    assert.throws(() => resolveHost({ context: "none" }, env()), /context "none" does not exist/);
    assert.throws(() => resolveHost({ context: "one", host: "x" }, env()), /either --host or --context/);
  });

  it("is read from files that docker wrote, and keeps what else is in its configuration", () => {
    // docker names the folder by the digest of the name
    const id = "6754af9632a2745e85c293e5aac0863370d9bd3330b9938c00cadfd215227d77";
    const store = new ContextStore(dir);
    assert.equal(store.metaPath("prod"), join(dir, "contexts/meta", id, "meta.json"));
    mkdirSync(join(store.metaPath("prod"), ".."), { recursive: true });
    writeFileSync(
      store.metaPath("prod"),
      '{"Name":"prod","Metadata":{"Description":"d"},"Endpoints":{"docker":{"Host":"unix:///p.sock","SkipTLSVerify":false}}}',
    );
    writeFileSync(join(dir, "config.json"), '{"auths":{"x":{}},"currentContext":"prod"}');
    assert.deepEqual(resolveHost({}, env()), { socketPath: "/p.sock" });
    store.use("default");
    assert.deepEqual(JSON.parse(readFileSync(join(dir, "config.json"), "utf8")), { auths: { x: {} } });
    store.use("prod");
    assert.equal(store.current(), "prod");
    store.remove("prod");
    assert.deepEqual(store.list(), []);
  });

  it("refuses names that docker refuses, and files that are no JSON", () => {
    const store = new ContextStore(dir);
    for (const Name of ["default", "a/b", "-x", "a"])
      assert.throws(() => store.save({ Name, Metadata: {}, Endpoints: {} }, {}), /reserved|invalid/);
    writeFileSync(join(dir, "config.json"), "{");
    assert.throws(() => resolveHost({}, env()), /config\.json is not JSON/);
  });
});
