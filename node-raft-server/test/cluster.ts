// A group of Raft nodes in this process: real logs in a temporary directory, real gRPC on loopback ports.
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@creel/shared";
import { RaftClient } from "@creel/shared/gen/cluster/v1/raft.ts";
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import {
  type Committed,
  grpcTransport,
  openRaft,
  type Peer,
  type RaftOptions,
  type RaftServer,
} from "../src/mod.ts";

export type Extra = Partial<RaftOptions> & { manual?: boolean };

/** A node and a state machine that remembers what it was given. */
export class TestNode {
  raft!: RaftServer;
  /** Entries as text, a snapshot's lines first. */
  state: string[] = [];
  log: Committed[] = [];
  peer: Peer;
  readonly dir: string;
  #grpc: Server | undefined;
  #loop: Promise<void> | undefined;
  applied = 0;

  constructor(id: number, dir: string) {
    this.peer = { id, address: "" };
    this.dir = dir;
  }

  /** Binds a port, so that the address is known before anything starts. */
  async bind(): Promise<void> {
    this.#grpc = new Server({ "grpc.max_receive_message_length": 64 << 20 });
    const address = this.peer.address || "127.0.0.1:0";
    const port = await new Promise<number>((resolve, reject) =>
      this.#grpc!.bindAsync(address, ServerCredentials.createInsecure(), (e, p) =>
        e ? reject(e) : resolve(p),
      ),
    );
    this.peer = { id: this.peer.id, address: `127.0.0.1:${port}` };
  }

  async start(extra: Extra = {}): Promise<this> {
    if (!this.#grpc) await this.bind();
    const { manual, ...options } = extra;
    const grpc = grpcTransport({
      id: this.peer.id,
      address: this.peer.address,
      clock: systemClock,
      open: (peer) => new RaftClient(peer.address, credentials.createInsecure()),
    });
    this.#grpc!.addService(grpc.service, grpc.implementation);
    const opening = openRaft({
      dir: this.dir,
      id: this.peer.id,
      clock: systemClock,
      tickMs: 50,
      minFreeBytes: 0,
      transport: grpc.transport,
      ...options,
    });
    try {
      this.raft = await opening;
    } catch (error) {
      this.#unbind();
      throw error;
    }
    if (!manual) this.#loop = this.#consume();
    return this;
  }

  async stop(): Promise<void> {
    await this.raft?.stop();
    await this.#loop;
    this.#unbind();
    this.state = [];
    this.log = [];
    this.applied = 0;
  }

  /** The state as a snapshot's bytes. */
  bytes(): Uint8Array {
    return Buffer.from(this.state.join("\n"));
  }

  #unbind(): void {
    this.#grpc?.forceShutdown();
    this.#grpc = undefined;
  }

  async #consume(): Promise<void> {
    for await (const piece of this.raft.committed) {
      this.log.push(piece);
      this.applied = piece.index;
      const text = () => Buffer.from((piece as { data: Uint8Array }).data).toString();
      if (piece.kind === "snapshot") this.state = text().split("\n");
      if (piece.kind === "entry") this.state.push(text());
    }
  }
}

/** Nodes that are stopped, and their files removed, at the end. */
export class TestCluster {
  readonly dir = mkdtempSync(join(tmpdir(), "creel-raft-"));
  readonly nodes: TestNode[] = [];

  node(id: number): TestNode {
    const node = new TestNode(id, join(this.dir, `node${id}`));
    this.nodes.push(node);
    return node;
  }

  /** `count` nodes that begin together. */
  async bootstrap(count: number, extra: Extra = {}): Promise<TestNode[]> {
    const nodes = Array.from({ length: count }, (_, i) => this.node(i + 1));
    for (const node of nodes) await node.bind();
    const bootstrap = nodes.map((n) => n.peer);
    await Promise.all(nodes.map((n) => n.start({ bootstrap, ...extra })));
    return nodes;
  }

  async leader(among: TestNode[] = this.nodes): Promise<TestNode> {
    let found: TestNode | undefined;
    await until("one leads and the others follow it", () => {
      const live = among.map((n) => n.raft.status());
      found = among.find((n) => n.raft.status().role === "leader");
      return found !== undefined && live.every((s) => s.leader === found!.peer.id);
    });
    return found!;
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map((n) => n.stop()));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Waits until it holds, a minute at most. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `waited a minute until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The code with which a promise rejects. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}
