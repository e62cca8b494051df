import { CreelError } from "@creel/shared";
import type { Exec } from "@creel/shared/gen/engine/v1/container.ts";
import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { bodyOf } from "../http/body.ts";
import { takeSocket } from "../http/hijack.ts";
import { connectBulk } from "../http/join.ts";
import { integer, type Query } from "../http/query.ts";
import { RAW_STREAM } from "../http/stream.ts";
import { type Hijack, serveHijack } from "../http/upgrade.ts";
import { words } from "../map/container-spec.ts";
import { ExecCreateSchema, ExecStartSchema } from "../schema/container.ts";

const readCreate = bodyOf(ExecCreateSchema);
const readStart = bodyOf(ExecStartSchema);
type WithId = { Params: { id: string }; Querystring: Query };

/**
 * Looks at what is to be started. It starts only when the head of the answer is on its way, as clients expect: they read
 * the exit status of what could not start by inspecting the exec.
 */
export async function prepareExec(context: ApiContext, id: string, body: unknown): Promise<Hijack> {
  const request = startRequest(id, body, false);
  const { containers } = context.engine;
  const exec = await containers.execInspect({ id });
  if (exec.running || exec.pid !== 0) {
    throw new CreelError("conflict", { message: `exec command ${id} is already running` });
  }
  return {
    raw: exec.spec?.tty ?? false,
    open: async () => connectBulk((await containers.execStart(request)).socket),
  };
}

function startRequest(id: string, body: unknown, detach: boolean) {
  const [height = 0, width = 0] = readStart(body).ConsoleSize ?? [];
  return { id, detach, height, width };
}

/** Whether it was neither started nor tried to. */
const isNew = ({ pid, exitCode }: Exec) => pid === 0 && exitCode === 0;

export function execRoutes(app: FastifyInstance, context: ApiContext): void {
  const { containers } = context.engine;

  app.post<WithId>("/containers/:id/exec", async (request, reply) => {
    const body = readCreate(request.body);
    const cmd = words(body.Cmd) ?? [];
    if (cmd.length === 0) throw new CreelError("invalid_parameter", { message: "No exec command specified" });
    const { id } = await containers.execCreate({
      containerId: request.params.id,
      cmd,
      env: body.Env ?? [],
      workingDir: body.WorkingDir ?? "",
      user: body.User ?? "",
      tty: body.Tty ?? false,
      stdin: body.AttachStdin ?? false,
      stdout: body.AttachStdout ?? false,
      stderr: body.AttachStderr ?? false,
      privileged: body.Privileged ?? false,
      detachKeys: body.DetachKeys ?? "",
    });
    return reply.code(201).send({ Id: id });
  });

  app.post<WithId>("/exec/:id/start", async (request, reply) => {
    if (readStart(request.body).Detach) {
      await containers.execStart(startRequest(request.params.id, request.body, true));
      return reply.code(200).send();
    }
    const hijack = await prepareExec(context, request.params.id, request.body);
    await serveHijack(takeSocket(reply, RAW_STREAM), hijack);
  });

  app.post<WithId>("/exec/:id/resize", async (request, reply) => {
    const { params, query } = request;
    await containers.execResize({
      id: params.id,
      height: integer(query, "h", 0),
      width: integer(query, "w", 0),
    });
    return reply.code(200).send();
  });

  app.get<WithId>("/exec/:id/json", async (request) => {
    const exec = await containers.execInspect({ id: request.params.id });
    const { spec } = exec;
    return {
      ID: exec.id,
      Running: exec.running,
      ExitCode: exec.running || isNew(exec) ? null : exec.exitCode,
      ProcessConfig: {
        tty: spec?.tty ?? false,
        entrypoint: spec?.cmd[0] ?? "",
        arguments: spec?.cmd.slice(1) ?? [],
        privileged: spec?.privileged ?? false,
        user: spec?.user || undefined,
      },
      OpenStdin: spec?.stdin ?? false,
      OpenStderr: spec?.stderr ?? false,
      OpenStdout: spec?.stdout ?? false,
      CanRemove: !exec.running,
      ContainerID: exec.containerId,
      DetachKeys: "",
      Pid: exec.pid,
    };
  });
}
