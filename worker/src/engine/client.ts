import { type Calls, CreelError, callsOf, fromGrpc } from "@creel/shared";
import {
  EngineClient as Channel,
  type ContainersServer,
  ContainersService,
  type EngineServer,
  EngineService,
  type ImagesServer,
  ImagesService,
  type NetworksServer,
  NetworksService,
  type VolumesServer,
  VolumesService,
} from "@creel/shared/gen/engine/v1/engine.ts";
import { credentials } from "@grpc/grpc-js";

/** The services of one creel-engine. */
export interface EngineClient {
  readonly socket: string;
  engine: Calls<EngineServer>;
  images: Calls<ImagesServer>;
  containers: Calls<ContainersServer>;
  networks: Calls<NetworksServer>;
  volumes: Calls<VolumesServer>;
  /** Resolves when the engine answers, rejects with `timeout` or the transport's error after `ms`. */
  ready(ms: number): Promise<void>;
  close(): void;
}

/** Longer than any answer the engine owes: it stops containers with their own grace period. */
const DEFAULT_TIMEOUT = 10 * 60_000;

/** A client of the creel-engine that listens on the UNIX socket `socket`; it reconnects by itself. */
export function connectEngine(socket: string): EngineClient {
  const channel = new Channel(`unix:${socket}`, credentials.createInsecure(), {
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 1000,
    "grpc.max_receive_message_length": 64 << 20,
    "grpc.default_authority": "creel-engine",
  });
  const what = `creel-engine (${socket})`;
  const translate = (error: unknown) => {
    const own = fromGrpc(error, what);
    return own.code === "remote_unreachable"
      ? new CreelError("engine_unavailable", { socket }, { cause: error })
      : own;
  };
  const calls = <S>(service: Record<string, unknown>) =>
    callsOf<S>(channel, service, what, DEFAULT_TIMEOUT, translate);
  const engine = calls<EngineServer>(EngineService);
  return {
    socket,
    engine,
    images: calls<ImagesServer>(ImagesService),
    containers: calls<ContainersServer>(ContainersService),
    networks: calls<NetworksServer>(NetworksService),
    volumes: calls<VolumesServer>(VolumesService),
    ready: async (ms) => void (await engine.info({}, { timeoutMs: ms })),
    close: () => channel.close(),
  };
}
