// Agents in one process: the worker's own code over mutual TLS, with engines whose containers are records.
import { joinCluster } from "@creel/manager";
import { createLogger, systemClock, systemRandom } from "@creel/shared";
import { LiveIdentity } from "@creel/shared/tls";
import { dispatcherConnector, startWorker, type Worker } from "@creel/worker";
import { simulatedEngine } from "./engine.ts";
import type { AgentsAnswer } from "./messages.ts";

const [first, count, token, ...managers] = process.argv.slice(2);
const answer = (message: AgentsAnswer) => process.send!(message);

async function startAgent(number: number): Promise<Worker> {
  const { identity } = await joinCluster({ remoteAddrs: managers, token: token!, availability: 0 });
  const live = new LiveIdentity(identity);
  return startWorker({
    nodeId: identity.nodeId,
    managers,
    connect: dispatcherConnector(live),
    engine: simulatedEngine(number),
    dataPathAddr: `10.200.${number >> 8}.${number & 255}`,
    clock: systemClock,
    random: systemRandom,
    logger: createLogger("silent"),
  });
}

process.on("disconnect", () => process.exit(0));
try {
  const workers: Worker[] = [];
  for (let i = 0; i < Number(count); i++) workers.push(await startAgent(Number(first) + i));
  const timer = setInterval(() => {
    if (!workers.every((worker) => worker.connected())) return;
    clearInterval(timer);
    answer({ connected: workers.length });
  }, 50);
} catch (error) {
  answer({ failed: (error as Error).message });
}
