import assert from "node:assert/strict";
import { get } from "node:http";
import type { EnginePort } from "../src/mod.ts";
import { startApi } from "./support.ts";

/** An engine whose list of volumes is ready when the test says so. */
function slowEngine() {
  let begun = () => {};
  let answer = () => {};
  const asked = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const engine = {
    engine: { info: () => Promise.reject(new Error("not asked for here")) },
    volumes: {
      list: () => {
        begun();
        return new Promise((resolve) => {
          answer = () => resolve({ volumes: [] });
        });
      },
    },
  } as unknown as EnginePort;
  return { engine, asked, answer: () => answer() };
}

/** Resolves when a stream has begun, with the way to wait for its end. */
function stream(socketPath: string, path: string): Promise<{ end: Promise<void> }> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path, agent: false }, (response) => {
      const end = new Promise<void>((ended) => response.once("close", ended));
      response.on("error", () => {}).resume();
      resolve({ end });
    }).on("error", reject);
  });
}

describe("a stop of the API", () => {
  it("answers what was asked, ends streams, and takes nothing new", async () => {
    const { engine, asked, answer } = slowEngine();
    const api = await startApi(engine);
    const { end } = await stream(api.socket, "/events");
    const volumes = api.call("GET", "/volumes");
    await asked;
    const closed = api.close();
    await assert.rejects(api.call("GET", "/_ping"), { code: /ECONNREFUSED|ENOENT/ });
    answer();
    assert.equal((await volumes).status, 200);
    await Promise.all([end, closed]);
  });

  it("waits no longer than its time", async () => {
    const { engine, asked } = slowEngine();
    const api = await startApi(engine);
    const volumes = assert.rejects(api.call("GET", "/volumes"), { code: "ECONNRESET" });
    await asked;
    await api.close(50);
    await volumes;
  });
});
