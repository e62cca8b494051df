import { connect, type Socket } from "node:net";
import { CreelError, type Logger, messageOf, toGrpc } from "@creel/shared";
import type { Chunk, NodeStreamsServer, TaskLogsRequest } from "@creel/shared/gen/cluster/v1/control.ts";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { TASK_LABEL } from "../tasks/spec.ts";
import type { EngineClient } from "./client.ts";

/** What this node streams to managers for their users. `containerOf` knows the tasks that run now. */
export function nodeStreams(
  client: EngineClient,
  containerOf: (taskId: string) => string | undefined,
  logger: Logger,
): NodeStreamsServer {
  return {
    logs(call) {
      sendLogs(client, containerOf, call).then(
        () => call.end(),
        (error: unknown) => {
          logger.debug({ task: call.request.taskId, err: messageOf(error) }, "no logs");
          call.destroy(Object.assign(new Error(messageOf(error)), toGrpc(error)));
        },
      );
    },
  };
}

async function sendLogs(
  client: EngineClient,
  containerOf: (taskId: string) => string | undefined,
  call: ServerWritableStream<TaskLogsRequest, Chunk>,
): Promise<void> {
  const { taskId, options } = call.request;
  const id = containerOf(taskId) ?? (await findContainer(client, taskId));
  if (id === undefined || options === undefined) return;
  const { socket: path, raw } = await client.containers.logs({ ...options, id });
  const socket = await open(path);
  call.on("cancelled", () => socket.destroy());
  if (call.cancelled) socket.destroy();
  for await (const data of socket) {
    if (!call.write({ data: data as Buffer, raw })) await drained(call);
    if (call.cancelled) return;
  }
}

async function findContainer(client: EngineClient, taskId: string): Promise<string | undefined> {
  const { containers } = await client.containers.list({ all: true, labels: { [TASK_LABEL]: taskId } });
  return containers[0]?.id;
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error) =>
      reject(new CreelError("internal", { message: `no log stream: ${error.message}` })),
    );
  });
}

function drained(call: ServerWritableStream<TaskLogsRequest, Chunk>): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off("drain", done);
      call.off("cancelled", done);
      call.off("close", done);
      resolve();
    };
    call.on("drain", done);
    call.on("cancelled", done);
    call.on("close", done);
  });
}
