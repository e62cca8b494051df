import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreelError } from "@creel/shared";
import { EngineService, InfoReply } from "@creel/shared/gen/engine/v1/engine.ts";
import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { connectEngine, type EngineClient } from "../src/engine/client.ts";

describe("the engine's client", () => {
  const dir = mkdtempSync(join(tmpdir(), "creel-client-"));
  const socket = join(dir, "engine.sock");
  const server = new Server();
  let client: EngineClient;
  const { info, events } = EngineService;

  before(async () => {
    // an engine that knows two calls; the stream says nothing
    const old: UntypedServiceImplementation = {
      info: (_call: unknown, answer: (error: null, reply: InfoReply) => void) =>
        answer(null, InfoReply.fromPartial({ cpus: 2 })),
      events: () => {},
    };
    server.addService({ info, events }, old);
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    client = connectEngine(socket);
  });
  after(() => {
    client.close();
    server.forceShutdown();
    rmSync(dir, { recursive: true });
  });

  it("says of an older engine that it is one", async () => {
    const call = client.containers.list({ all: true, labels: {} });
    await assert.rejects(call, { code: "peer_outdated", status: 501, message: /older version/ });
  });

  it("ends calls and streams while the engine is suspended, asks it all the same, and goes on", async () => {
    const following = (async () => {
      for await (const _ of client.engine.events({ sinceSeq: 0 })) assert.fail("nothing is sent");
    })();
    await client.engine.info({});
    client.suspend(new CreelError("engine_unresponsive", { pid: 1, seconds: 10 }));
    await assert.rejects(following, { code: "engine_unresponsive" });
    await assert.rejects(client.engine.info({}), { code: "engine_unresponsive", status: 503 });
    await client.ready(1000);
    client.resume();
    assert.equal((await client.engine.info({})).cpus, 2);
  });

  it("ends a stream without a word when its reader calls it off", async () => {
    const stop = new AbortController();
    const following = (async () => {
      for await (const _ of client.engine.events({ sinceSeq: 0 }, { signal: stop.signal })) assert.fail();
    })();
    await client.engine.info({});
    stop.abort();
    await following;
  });
});
