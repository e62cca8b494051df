import { ServiceSpec } from "@creel/shared/gen/cluster/v1/objects.ts";

/** A replicated service as a user would ask for it. */
export function replicated(name: string, replicas: number, publish?: [number, number]): ServiceSpec {
  return ServiceSpec.fromJSON({
    name,
    task: { container: { image: "creel/whoami:latest" }, restart: { delay: 50, delaySet: true } },
    replicated: { replicas },
    endpoint: {
      ports: publish ? [{ protocol: "tcp", publishedPort: publish[0], targetPort: publish[1] }] : [],
    },
  });
}
