export { connectEngine, type EngineClient } from "./engine/client.ts";
export { type NodeFacts, workerEngine } from "./engine/engine.ts";
export { nodeStreams } from "./engine/streams.ts";
export type { DispatcherConnector, DispatcherStream, Engine } from "./ports.ts";
export { type RolePorts, takeRole } from "./roles.ts";
export { dispatcherConnector } from "./session/connector.ts";
export { TASK_LABEL } from "./tasks/spec.ts";
export { Wishes, type WishesOptions } from "./wishes.ts";
export { startWorker, type Worker, type WorkerOptions } from "./worker.ts";
