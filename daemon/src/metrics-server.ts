import { createServer } from "node:http";
import type { MetricsPort } from "@creel/api";
import { CreelError } from "@creel/shared";

const LIMITS = { headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 2_000 };
const MAX_CONNECTIONS = 64;

/** Serves `GET /metrics` at host:port, without asking who is there; resolves with the way to end that. */
export async function serveMetrics(metrics: MetricsPort, address: string): Promise<() => Promise<void>> {
  const server = createServer(LIMITS, (request, response) => {
    if (request.method !== "GET" || request.url?.split("?")[0] !== "/metrics") {
      response.writeHead(404, { "content-type": "text/plain" }).end("only GET /metrics is here\n");
      return;
    }
    metrics.render().then(
      ({ contentType, text }) => response.writeHead(200, { "content-type": contentType }).end(text),
      (error: Error) => response.writeHead(500, { "content-type": "text/plain" }).end(`${error.message}\n`),
    );
  });
  server.maxConnections = MAX_CONNECTIONS;
  const [, host, port] = /^(.*):(\d+)$/.exec(address)!;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new CreelError("listen_failed", { addr: address, message: error.message }, { cause: error })),
    );
    server.listen({ host: host || "127.0.0.1", port: Number(port) }, resolve);
  });
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}
