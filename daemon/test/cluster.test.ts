import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { managerAddress, settleAddresses } from "../src/cluster/addresses.ts";
import { MemberFiles } from "../src/cluster/state.ts";

describe("a node's addresses in a cluster", () => {
  const wish = (listenAddr: string, advertiseAddr = "", dataPathAddr = "") =>
    settleAddresses({ listenAddr, advertiseAddr, dataPathAddr }, new Set());

  it("are completed", () => {
    assert.deepEqual(wish("0.0.0.0:7000", "127.0.0.1"), {
      listen: "0.0.0.0:7000",
      advertise: "127.0.0.1:7000",
      dataPath: "127.0.0.1",
    });
    assert.deepEqual(wish("127.0.0.1", "", "10.1.2.3"), {
      listen: "127.0.0.1:2377",
      advertise: "127.0.0.1:2377",
      dataPath: "10.1.2.3",
    });
    assert.equal(wish("lo:1", "lo:2").advertise, "127.0.0.1:2");
    assert.equal(managerAddress("10.0.0.1"), "10.0.0.1:2377");
  });

  it("are refused when they make no sense", () => {
    assert.throws(() => wish("a:b:c"), { message: /invalid listen-addr/ });
    assert.throws(() => wish("127.0.0.1:0"), { message: /port 0/ });
    assert.throws(() => wish("", "0.0.0.0"), { message: /non-zero/ });
    assert.throws(() => wish("", "nosuchif0"), { message: /could not find the system's IP address/ });
  });

  it("are not guessed from addresses of the engine's own bridges", () => {
    const all = Object.values(networkInterfaces()).flatMap((each) =>
      (each ?? []).map(({ address }) => address),
    );
    const none = () => settleAddresses({ listenAddr: "", advertiseAddr: "", dataPathAddr: "" }, new Set(all));
    assert.throws(none, { message: /specify one with --advertise-addr/ });
  });
});

describe("the files of a membership", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "creeld-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it("come back as they were, and nobody else may read them", () => {
    const files = new MemberFiles(dir);
    assert.equal(files.read(), undefined);
    const identity = {
      nodeId: "n",
      role: NodeRole.NODE_ROLE_MANAGER,
      clusterId: "c",
      certificate: "cert",
      key: "key",
      root: "root",
    };
    const addresses = { listen: "0.0.0.0:2377", advertise: "10.0.0.1:2377", dataPath: "10.0.0.1" };
    const kept = { identity, raftKey: new Uint8Array(32).fill(7), unlockKey: "" };
    files.writeIdentity(kept);
    assert.equal(files.read(), undefined, "half a membership is none");
    files.writeState({ addresses, dataPathPort: 4789, managers: ["10.0.0.1:2377"] });
    const found = files.read()!;
    assert.deepEqual(found.state.addresses, addresses);
    assert.ok(!found.sealed);
    const opened = found.open("");
    assert.deepEqual(opened.identity, identity);
    assert.deepEqual([...opened.raftKey], Array(32).fill(7));
    assert.equal(statSync(join(files.dir, "identity.json")).mode & 0o777, 0o600);
    writeFileSync(join(files.dir, "state.json"), "{");
    assert.throws(() => files.read(), { code: "storage_damaged", message: /state\.json/ });
    files.clear();
    assert.equal(files.read(), undefined);
  });

  it("are sealed with an unlock key, and opened by that one alone", () => {
    const files = new MemberFiles(dir);
    const identity = {
      nodeId: "n",
      role: NodeRole.NODE_ROLE_MANAGER,
      clusterId: "c",
      certificate: "cert",
      key: "the TLS key",
      root: "root",
    };
    const unlockKey = `SWMKEY-1-${"a".repeat(43)}`;
    const kept = { identity, raftKey: new Uint8Array(32).fill(7), unlockKey };
    files.writeIdentity(kept);
    const addresses = { listen: "0.0.0.0:2377", advertise: "10.0.0.1:2377", dataPath: "10.0.0.1" };
    files.writeState({ addresses, dataPathPort: 4789, managers: [] });
    const text = readFileSync(join(files.dir, "identity.json"), "utf8");
    assert.ok(!text.includes("the TLS key") && !text.includes("07070707") && !text.includes(unlockKey));
    const found = files.read()!;
    assert.ok(found.sealed);
    assert.throws(() => found.open(""), { code: "swarm_locked" });
    assert.throws(() => found.open("SWMKEY-1-no"), { code: "invalid_parameter" });
    assert.throws(() => found.open(`SWMKEY-1-${"b".repeat(43)}`), { code: "wrong_unlock_key" });
    const opened = found.open(unlockKey);
    assert.deepEqual([opened.identity, opened.unlockKey], [identity, unlockKey]);
    assert.deepEqual([...opened.raftKey], Array(32).fill(7));
  });
});
