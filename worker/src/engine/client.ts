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
import { Suspension } from "./suspension.ts";

/** The services of one creel-engine. */
export interface EngineClient {
  readonly socket: string;
  engine: Calls<EngineServer>;
  images: Calls<ImagesServer>;
  containers: Calls<ContainersServer>;
  networks: Calls<NetworksServer>;
  volumes: Calls<VolumesServer>;
  /** Resolves when the engine answers, also while it is suspended; rejects with `timeout` or the transport's error after `ms`. */
  ready(ms: number, signal?: AbortSignal): Promise<void>;
  /** The engine stands still: calls fail with `error`, those under way too, until it is resumed. */
  suspend(error: CreelError): void;
  resume(): void;
  close(): void;
}

type Service = Record<string, { responseStream: boolean }>;

/** Longer than any answer the engine owes: it stops containers with their own grace period. */
const DEFAULT_TIMEOUT = 10 * 60_000;

/** A client of the creel-engine that listens on the UNIX socket `socket`; it reconnects by itself. */
export function connectEngine(socket: string): EngineClient {
  const channel = new Channel(`unix:${socket}`, credentials.createInsecure(), {
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 200,
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
  const suspension = new Suspension();
  const direct = <S>(service: Service) => callsOf<S>(channel, service, what, DEFAULT_TIMEOUT, translate);
  const calls = <S>(service: Service) => suspension.guard(direct<S>(service), service);
  const { info } = direct<EngineServer>(EngineService);
  return {
    socket,
    engine: calls<EngineServer>(EngineService),
    images: calls<ImagesServer>(ImagesService),
    containers: calls<ContainersServer>(ContainersService),
    networks: calls<NetworksServer>(NetworksService),
    volumes: calls<VolumesServer>(VolumesService),
    ready: async (ms, signal) => void (await info({}, { timeoutMs: ms, ...(signal && { signal }) })),
    suspend: (error) => suspension.begin(error),
    resume: () => suspension.end(),
    close: () => channel.close(),
  };
}
