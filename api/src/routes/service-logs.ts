import type { ServerResponse } from "node:http";
import { messageOf } from "@creel/shared";
import type { LogsRequest } from "@creel/shared/gen/engine/v1/container.ts";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { Task } from "../cluster.ts";
import { TaskState } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { frame, LineReader } from "../http/frames.ts";
import type { Query } from "../http/query.ts";
import { MULTIPLEXED_STREAM, openStream, RAW_STREAM, whenGone } from "../http/stream.ts";
import { isBefore, versionOf } from "../http/version.ts";
import { findService, findTask } from "../map/find.ts";
import { logsRequest } from "../map/logs.ts";

type WithId = { Params: { id: string }; Querystring: Query };
/** How often a follower looks for tasks that came since. */
const LOOK_MS = 1000;

export function serviceLogRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get<WithId>("/services/:id/logs", async (request, reply) => {
    const options = logsRequest("", request.query);
    const view = await context.cluster.view({ linearizable: true });
    const service = findService(view, request.params.id);
    const tasks = async () => {
      const now = await context.cluster.view();
      return now.service(service.id) && now.tasksOfService(service.id);
    };
    await sendLogs(context, reply, options, service.spec?.task?.container?.tty ?? false, tasks);
  });

  app.get<WithId>("/tasks/:id/logs", async (request, reply) => {
    const options = logsRequest("", request.query);
    const view = await context.cluster.view({ linearizable: true });
    const task = findTask(view, request.params.id);
    const once = [task];
    const tasks = async () => (once.length > 0 ? once.splice(0) : undefined);
    await sendLogs(context, reply, options, task.spec?.container?.tty ?? false, tasks);
  });
}

/**
 * Sends the logs of tasks, line by line as they come; a follower also sees tasks that come later, until `tasks` says
 * that there will be no more.
 */
async function sendLogs(
  context: ApiContext,
  reply: FastifyReply,
  options: LogsRequest,
  tty: boolean,
  tasks: () => Promise<Task[] | undefined>,
): Promise<void> {
  const type = tty || isBefore(versionOf(reply.request.raw), "1.42") ? RAW_STREAM : MULTIPLEXED_STREAM;
  const response = openStream(reply, type);
  const gone = whenGone(response);
  const begun = new Set<string>();
  const running = new Set<Promise<void>>();
  while (!gone.aborted) {
    const known = await tasks();
    if (!known) break;
    for (const task of known) {
      if (begun.has(task.id) || !hasLogs(task)) continue;
      begun.add(task.id);
      const copy: Promise<void> = copyLogs(context, response, task, options, tty, gone).finally(() =>
        running.delete(copy),
      );
      running.add(copy);
    }
    if (!options.follow) break;
    await pause(context, gone);
  }
  await Promise.all(running);
  response.end();
}

/** A task has logs from the time it had a container. */
function hasLogs(task: Task): boolean {
  const state = task.status?.state ?? TaskState.TASK_STATE_NEW;
  return task.nodeId !== "" && state >= TaskState.TASK_STATE_STARTING && state <= TaskState.TASK_STATE_FAILED;
}

function pause(context: ApiContext, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = context.clock.after(LOOK_MS, resolve);
    signal.addEventListener(
      "abort",
      () => {
        timer.cancel();
        resolve();
      },
      { once: true },
    );
  });
}

async function copyLogs(
  context: ApiContext,
  response: ServerResponse,
  task: Task,
  options: LogsRequest,
  tty: boolean,
  signal: AbortSignal,
): Promise<void> {
  const prefix = options.details ? Buffer.from(`${detailsOf(task)} `) : undefined;
  const send = ({ stream, line }: { stream: number; line: Buffer }) => {
    const text = prefix ? insertDetails(line, prefix, options.timestamps) : line;
    return write(response, tty ? text : frame(stream, text));
  };
  let reader: LineReader | undefined;
  try {
    const request = { taskId: task.id, options: { ...options, details: false } };
    for await (const { data, raw } of context.cluster.taskLogs(request, signal)) {
      reader ??= new LineReader(raw);
      for (const line of reader.push(data)) if (!(await send(line))) return;
    }
    for (const line of reader?.rest() ?? []) await send(line);
  } catch (error) {
    if (signal.aborted) return;
    // a node that is away must not hide the logs of the others
    context.logger.warn({ task: task.id, node: task.nodeId, error: messageOf(error) }, "no logs of a task");
    await send({
      stream: 2,
      line: Buffer.from(
        `error from daemon in stream: logs of task ${task.id} on node ${task.nodeId}: ${messageOf(error)}\n`,
      ),
    });
  }
}

/** What clients tell tasks apart by. */
function detailsOf(task: Task): string {
  return [
    `com.docker.swarm.node.id=${encodeURIComponent(task.nodeId)}`,
    `com.docker.swarm.service.id=${encodeURIComponent(task.serviceId)}`,
    `com.docker.swarm.task.id=${encodeURIComponent(task.id)}`,
  ].join(",");
}

function insertDetails(line: Buffer, details: Buffer, timestamps: boolean): Buffer {
  const at = timestamps ? line.indexOf(32) + 1 : 0;
  return Buffer.concat([line.subarray(0, at), details, line.subarray(at)]);
}

function write(response: ServerResponse, data: Buffer): Promise<boolean> {
  if (response.destroyed) return Promise.resolve(false);
  if (response.write(data)) return Promise.resolve(true);
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve(!response.destroyed);
    };
    response.on("drain", done);
    response.on("close", done);
  });
}
