import { isCreelError, toGrpc } from "@creel/shared";
import { LEADER_KEY } from "@creel/shared/tls";
import type { handleUnaryCall, ServerUnaryCall } from "@grpc/grpc-js";

/** A gRPC status for `error`; where it is `not_leader`, with the leader's address for the caller to go to. */
export function refusal(error: unknown, leaderAddr: string) {
  const status = toGrpc(error);
  if (isCreelError(error, "not_leader")) status.metadata!.set(LEADER_KEY, leaderAddr);
  return status;
}

/** A unary method out of a function that answers by promise; `leaderAddr` is asked only for `not_leader`. */
export function unaryMethod<Q, R>(
  leaderAddr: () => string,
  answer: (request: Q, call: ServerUnaryCall<Q, R>) => Promise<R>,
): handleUnaryCall<Q, R> {
  return (call, callback) => {
    answer(call.request, call).then(
      (reply) => callback(null, reply),
      (error) => callback(refusal(error, leaderAddr())),
    );
  };
}
