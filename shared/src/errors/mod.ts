export { CreelError, isCreelError } from "./error.ts";
export { fromGrpc, messageOf, toGrpc } from "./grpc.ts";
export { type ErrorCode, type ErrorEntry, registry } from "./registry.ts";
