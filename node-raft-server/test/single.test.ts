import { strict as assert } from "node:assert";
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { codeOf, type Extra, TestCluster, type TestNode, until } from "./cluster.ts";

describe("a single node", function () {
  this.timeout(90_000);
  let cluster: TestCluster;
  let node: TestNode;

  const start = async (extra: Extra = {}) => {
    if (node.peer.address === "") await node.bind();
    await node.start({ bootstrap: [node.peer], ...extra });
    await until("it leads", () => node.raft.status().role === "leader");
  };

  beforeEach(() => {
    cluster = new TestCluster();
    node = cluster.node(7);
  });
  afterEach(() => cluster.end());

  it("keeps what it acknowledged, over restarts", async () => {
    await start();
    const first = await node.raft.propose(Buffer.from("a"));
    const second = await node.raft.propose(Buffer.from("b"));
    assert.equal(second, first + 1);
    await node.stop();
    await start();
    assert.equal(
      await node.raft.propose(Buffer.from("c")),
      second + 2,
      "an election's entry lies in between",
    );
    assert.deepEqual(node.state, ["a", "b", "c"]);
    const members = node.log.find((p) => p.kind === "membership");
    assert.deepEqual(members, {
      kind: "membership",
      index: 1,
      voters: [7],
      learners: [],
      peers: [node.peer],
    });
  });

  it("begins with the snapshot after a restart, and only what follows it", async () => {
    await start({ logTail: 2 });
    for (let i = 0; i < 10; i += 1) await node.raft.propose(Buffer.from(`${i}`));
    const at = node.applied;
    await node.raft.snapshot(at, node.bytes());
    await node.raft.propose(Buffer.from("after"));
    assert.equal(node.raft.status().snapshotIndex, at);
    assert.equal(node.raft.status().firstIndex, at - 1);
    await node.stop();
    await start({ logTail: 2 });
    await until("all is replayed", () => node.state.length === 11);
    assert.deepEqual(node.log.map((p) => p.kind).slice(0, 3), ["snapshot", "membership", "entry"]);
    assert.deepEqual(node.state, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "after"]);
  });

  it("writes many proposals with few syncs, in order", async () => {
    await start();
    const indexes = await Promise.all(
      Array.from({ length: 200 }, (_, i) => node.raft.propose(Buffer.from(`${i}`))),
    );
    assert.deepEqual(
      indexes,
      indexes.map((_, i) => indexes[0]! + i),
    );
    assert.deepEqual(
      node.state,
      indexes.map((_, i) => `${i}`),
    );
  });

  it("refuses what is too large, what is empty, and too much at once", async () => {
    await start({ maxEntryBytes: 1000 });
    assert.equal(await codeOf(node.raft.propose(Buffer.alloc(1001))), "too_large");
    assert.equal(await codeOf(node.raft.propose(Buffer.alloc(0))), "invalid_parameter");
    const all = await Promise.all(
      Array.from({ length: 5000 }, () => codeOf(node.raft.propose(Buffer.from("x")))),
    );
    assert.deepEqual([...new Set(all)].sort(), ["none", "queue_full"]);
    assert.equal(all.filter((c) => c === "none").length, 4096);
  });

  it("delivers through a small window to a slow consumer, out of the log", async () => {
    await start({ windowBytes: 4096 });
    for (let i = 0; i < 50; i += 1) await node.raft.propose(Buffer.alloc(1000, `${i % 10}`));
    await node.stop();
    await start({ windowBytes: 4096, manual: true });
    await until("all is committed", () => node.raft.status().commit >= 52);
    const sizes: number[] = [];
    for await (const piece of node.raft.committed) {
      if (piece.kind === "entry") sizes.push(piece.data.length);
      if (sizes.length === 50) break;
    }
    assert.deepEqual(
      sizes,
      sizes.map(() => 1000),
    );
  });

  it("rejects what waits when it stops, and says so afterwards", async () => {
    await start({ manual: true });
    const waiting = codeOf(node.raft.propose(Buffer.from("nobody consumes")));
    await node.raft.stop();
    assert.equal(await waiting, "stopped");
    assert.equal(await codeOf(node.raft.propose(Buffer.from("x"))), "stopped");
    assert.equal(await codeOf(node.raft.readIndex()), "stopped");
    assert.equal(await node.raft.closed, undefined);
  });

  it("refuses another node's log and a directory without one", async () => {
    assert.equal(await codeOf(node.start()), "invalid_parameter");
    await start();
    await node.stop();
    node.peer.id = 8;
    assert.equal(await codeOf(node.start()), "invalid_parameter");
    node.peer.id = 7;
    await start();
  });

  describe("on a damaged disk", () => {
    const flip = (path: string, at: number) => {
      const fd = openSync(path, "r+");
      const byte = Buffer.alloc(1);
      readSync(fd, byte, 0, 1, at);
      writeSync(fd, Buffer.from([byte[0]! ^ 0x40]), 0, 1, at);
      closeSync(fd);
    };
    const fails = async (file: string) => {
      await assert.rejects(node.start(), (error: Error & { code: string }) => {
        assert.equal(error.code, "storage_damaged");
        assert.match(error.message, new RegExp(file.replaceAll(".", "\\.")));
        return true;
      });
    };

    it("names the log file", async () => {
      await start();
      await node.raft.propose(Buffer.from("findable".repeat(10)));
      await node.raft.propose(Buffer.from("last"));
      await node.stop();
      const log = join(node.dir, "log");
      const name = readdirSync(log).find((n) => n.endsWith(".raftlog"))!;
      flip(join(log, name), readFileSync(join(log, name)).indexOf("findable") + 20);
      await fails(name);
    });

    it("names the snapshot", async () => {
      await start();
      await node.raft.propose(Buffer.from("x"));
      await node.raft.snapshot(node.applied, Buffer.from("y".repeat(3 << 20)));
      await node.stop();
      const name = readdirSync(node.dir).find((n) => n.endsWith(".snapshot"))!;
      flip(join(node.dir, name), 2 << 20);
      await fails(name);
    });
  });

  describe("with an encryption key", () => {
    const encryptionKey = Buffer.alloc(32, 5);

    it("leaves nothing readable on the disk", async () => {
      await start({ encryptionKey });
      await node.raft.propose(Buffer.from("TOPSECRET-entry"));
      await node.raft.snapshot(node.applied, Buffer.from("TOPSECRET-snapshot"));
      await node.raft.propose(Buffer.from("TOPSECRET-tail"));
      await node.stop();
      for (const name of readdirSync(node.dir, { recursive: true, encoding: "utf8" })) {
        if (!/\.(raftlog|rewrite|snapshot)$/.test(name)) continue;
        assert.equal(readFileSync(join(node.dir, name)).includes("TOPSECRET"), false, name);
      }
      assert.equal(await codeOf(node.start({ encryptionKey: Buffer.alloc(32, 6) })), "invalid_parameter");
      assert.equal(await codeOf(node.start()), "invalid_parameter");
      await start({ encryptionKey });
      await until("all is replayed", () => node.state.length === 2);
      assert.deepEqual(node.state, ["TOPSECRET-snapshot", "TOPSECRET-tail"]);
    });
  });
});
