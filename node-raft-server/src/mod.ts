export { openRaft } from "./server.ts";
export { type GrpcTransport, type GrpcTransportOptions, grpcTransport } from "./transport/grpc.ts";
export type {
  Committed,
  Inbound,
  LogIndex,
  Peer,
  PeerProgress,
  RaftOptions,
  RaftServer,
  RaftStatus,
  Transport,
} from "./types.ts";
