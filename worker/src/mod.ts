export type { DispatcherConnector, DispatcherStream, Engine } from "./ports.ts";
export { startWorker, type Worker, type WorkerOptions } from "./worker.ts";
