import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import { ControlRequest } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { bodyOf } from "../http/body.ts";
import { flag, integer, type Query } from "../http/query.ts";
import { fromSwarmSpec, toSwarm } from "../map/swarm.ts";
import { SwarmInitSchema, SwarmJoinSchema, SwarmSpecSchema, SwarmUnlockSchema } from "../schema/swarm.ts";

const readInit = bodyOf(SwarmInitSchema);
const readJoin = bodyOf(SwarmJoinSchema);
const readUnlock = bodyOf(SwarmUnlockSchema);
const readSpec = bodyOf(SwarmSpecSchema);

export function swarmRoutes(app: FastifyInstance, context: ApiContext): void {
  const { cluster } = context;

  app.get("/swarm", async () => toSwarm((await cluster.view({ linearizable: true })).cluster()));

  app.post("/swarm/init", async (request, reply) => {
    const body = readInit(request.body);
    const spec = fromSwarmSpec({
      ...body.Spec,
      EncryptionConfig: {
        AutoLockManagers: body.AutoLockManagers || body.Spec?.EncryptionConfig?.AutoLockManagers,
      },
    });
    const id = await cluster.init({
      listenAddr: body.ListenAddr ?? "",
      advertiseAddr: body.AdvertiseAddr ?? "",
      dataPathAddr: body.DataPathAddr ?? "",
      dataPathPort: body.DataPathPort ?? 0,
      defaultAddrPool: body.DefaultAddrPool ?? [],
      subnetSize: body.SubnetSize ?? 0,
      availability: availability(body.Availability),
      forceNewCluster: body.ForceNewCluster ?? false,
      spec,
    });
    return reply.type("application/json").send(JSON.stringify(id));
  });

  app.post("/swarm/join", async (request, reply) => {
    const body = readJoin(request.body);
    if (!body.RemoteAddrs?.length) {
      throw new CreelError("invalid_parameter", { message: "at least one RemoteAddr is required to join" });
    }
    await cluster.join({
      remoteAddrs: body.RemoteAddrs,
      token: body.JoinToken ?? "",
      listenAddr: body.ListenAddr ?? "",
      advertiseAddr: body.AdvertiseAddr ?? "",
      dataPathAddr: body.DataPathAddr ?? "",
      availability: availability(body.Availability),
    });
    return reply.code(200).send();
  });

  app.post<{ Querystring: Query }>("/swarm/leave", async (request, reply) => {
    await cluster.leave(flag(request.query, "force"));
    return reply.code(200).send();
  });

  app.post<{ Querystring: Query }>("/swarm/update", async (request, reply) => {
    const { query } = request;
    const body = readSpec(request.body);
    const before = (await cluster.view({ linearizable: true })).cluster();
    await cluster.control(
      ControlRequest.fromPartial({
        kind: {
          $case: "updateCluster",
          value: {
            version: integer(query, "version", 0),
            spec: fromSwarmSpec(body, before.spec),
            rotateWorkerToken: flag(query, "rotateWorkerToken"),
            rotateManagerToken: flag(query, "rotateManagerToken"),
            tokenTtl: integer(query, "tokenTTL", 0) * 1000,
            rotateUnlockKey: flag(query, "rotateManagerUnlockKey"),
            signingCaCert: Buffer.from(body.CAConfig?.SigningCACert ?? ""),
            signingCaKey: Buffer.from(body.CAConfig?.SigningCAKey ?? ""),
          },
        },
      }),
    );
    return reply.code(200).send();
  });

  app.get("/swarm/unlockkey", async () => ({
    UnlockKey: (await cluster.view({ linearizable: true })).cluster().unlockKey,
  }));

  app.post("/swarm/unlock", async (request, reply) => {
    await cluster.unlock(readUnlock(request.body).UnlockKey ?? "");
    return reply.code(200).send();
  });
}

/** An availability as a client may give it; empty: active. */
export function availability(value: string | null | undefined): "active" | "pause" | "drain" {
  const wanted = value || "active";
  if (wanted === "active" || wanted === "pause" || wanted === "drain") return wanted;
  throw new CreelError("invalid_parameter", { message: `invalid Availability: "${wanted}"` });
}
