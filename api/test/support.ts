import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreelError, createLogger, systemClock } from "@creel/shared";
import { type ClusterPort, createApi, type EnginePort, EventHub } from "../src/mod.ts";

const STREAMS = new Set(["events", "load", "import", "save", "readArchive", "writeArchive", "export"]);

/** An engine that is away: every call is refused as the daemon's client refuses it then. */
const awayEngine = new Proxy(
  {},
  {
    get: () =>
      new Proxy(
        {},
        {
          get: (_target, method) =>
            STREAMS.has(String(method))
              ? // biome-ignore lint/correctness/useYield: it ends before the first event
                async function* () {
                  throw new CreelError("engine_unavailable", { socket: "engine.sock" });
                }
              : async () => {
                  throw new CreelError("engine_unavailable", { socket: "engine.sock" });
                },
        },
      ),
  },
) as EnginePort;

/** A node that is in no cluster. */
const outside: ClusterPort = {
  localState: () => "inactive",
  nodeId: () => "",
  nodeAddr: () => "",
  error: () => "",
  isManager: () => false,
  remoteManagers: () => [],
  init: () => Promise.reject(new CreelError("unsupported", { message: "not here" })),
  join: () => Promise.reject(new CreelError("invalid_token")),
  unlock: () => Promise.reject(new CreelError("not_in_swarm")),
  leave: () => Promise.reject(new CreelError("not_in_swarm")),
  view: () => Promise.reject(new CreelError("not_a_manager")),
  managerStatus: () => undefined,
  control: () => Promise.reject(new CreelError("not_a_manager")),
  plan: () => Promise.reject(new CreelError("not_a_manager")),
  stuck: () => "",
  why: () => Promise.reject(new CreelError("not_a_manager")),
  attach: () => Promise.reject(new CreelError("not_in_swarm")),
  // biome-ignore lint/correctness/useYield: it ends before the first byte
  async *taskLogs() {
    throw new CreelError("not_a_manager");
  },
  onEvent: () => () => {},
};

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  json: () => { message?: string } & Record<string, unknown>;
}

export interface TestApi {
  socket: string;
  events: EventHub;
  call(method: string, path: string, body?: string | Buffer): Promise<Answer>;
  close(graceMs?: number): Promise<void>;
}

/** The API on a socket of its own, of a node outside of any cluster whose engine is away. */
export async function startApi(engine: EnginePort = awayEngine): Promise<TestApi> {
  const dir = mkdtempSync(join(tmpdir(), "creel-api-"));
  const socket = join(dir, "api.sock");
  const logger = createLogger("fatal");
  const events = new EventHub(engine, outside, systemClock, logger);
  const facts = {
    version: "0.0.0-test",
    commit: "",
    id: "test",
    labels: [],
    genericResources: { generic: {}, named: {} },
    debug: false,
  };
  const api = await createApi({
    engine,
    cluster: outside,
    events,
    facts,
    metrics: { request: () => {}, render: async () => ({ contentType: "text/plain", text: "" }) },
    clock: systemClock,
    logger,
    hostname: () => "test",
  });
  const server = api.server();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    socket,
    events,
    call: (method, path, body) => call(socket, method, path, body),
    async close(graceMs) {
      await api.close(graceMs);
      await events.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function call(socketPath: string, method: string, path: string, body?: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, method, path, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => {
        text += part;
      });
      response.on("end", () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          text,
          json: () => JSON.parse(text),
        }),
      );
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}
