import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join as path } from "node:path";
import { connectBulk, join } from "../src/http/join.ts";

describe("a client joined with the engine", () => {
  let dir: string;
  const servers: Server[] = [];
  beforeEach(() => {
    dir = mkdtempSync(path(tmpdir(), "creel-join-"));
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** A server's socket in the folder, and what it does with its connections. */
  async function serve(name: string, work: (socket: Socket) => void): Promise<string> {
    const server = createServer({ allowHalfOpen: true }, work);
    servers.push(server);
    const place = path(dir, name);
    await new Promise<void>((resolve) => server.listen(place, resolve));
    return place;
  }

  it("takes all that was said, also where it begins long after the engine has ended", async () => {
    let joined: Promise<void> | undefined;
    // a bit more, each time, than what fits into the kernel's buffers: some of it waits here when the engine is done
    for (let kibibytes = 64; kibibytes <= 512; kibibytes += 32) {
      const said = Buffer.alloc(kibibytes << 10, "0123456789abcdef\n");
      const engine = await serve(`engine-${kibibytes}`, (socket) => socket.end(said));
      const front = await serve(`front-${kibibytes}`, async (socket) => {
        joined = join(socket, await connectBulk(engine));
      });
      const client = connect({ path: front, allowHalfOpen: true });
      client.end();
      await new Promise((resolve) => setTimeout(resolve, 20));
      const parts: Buffer[] = [];
      for await (const part of client) parts.push(part);
      assert.equal(Buffer.concat(parts).length, said.length);
      await joined;
    }
  });

  it("is cut off where the engine breaks off", async () => {
    const engine = await serve("engine", (socket) => setTimeout(() => socket.destroy(), 20));
    const front = await serve("front", async (socket) => {
      await join(socket, await connectBulk(engine));
    });
    const client = connect(front);
    await new Promise((resolve) => client.resume().once("close", resolve));
  });
});
