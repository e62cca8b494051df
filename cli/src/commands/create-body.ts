import { environment, pairs } from "../context.ts";
import type { RunOptions } from "./run.ts";

/** The body of `POST /containers/create` for what `run` and `create` were given. */
export function createBody(image: string, command: string[], o: RunOptions): object {
  const ports = o.publish ?? [];
  const key = (port: { target: number; protocol: string }) => `${port.target}/${port.protocol}`;
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of ports) {
    bindings[key(port)] = [
      ...(bindings[key(port)] ?? []),
      { HostIp: port.hostIp, HostPort: port.published ? String(port.published) : "" },
    ];
  }
  const interactive = o.interactive ?? false;
  return {
    Image: image,
    ...(command.length > 0 && { Cmd: command }),
    ...(o.entrypoint !== undefined && { Entrypoint: o.entrypoint === "" ? [""] : [o.entrypoint] }),
    ...(o.hostname && { Hostname: o.hostname }),
    ...(o.user && { User: o.user }),
    ...(o.workdir && { WorkingDir: o.workdir }),
    ...(o.stopSignal && { StopSignal: o.stopSignal }),
    Env: environment(o.env) ?? [],
    Labels: pairs(o.label),
    Tty: o.tty ?? false,
    OpenStdin: interactive,
    StdinOnce: interactive && !o.detach,
    AttachStdin: interactive && !o.detach,
    AttachStdout: !o.detach,
    AttachStderr: !o.detach,
    ExposedPorts: Object.fromEntries(ports.map((port) => [key(port), {}])),
    HostConfig: {
      PortBindings: bindings,
      AutoRemove: o.rm ?? false,
      Binds: o.volume ?? [],
      Tmpfs: Object.fromEntries(
        (o.tmpfs ?? [])
          .map((text) => text.split(/:(.*)/s).slice(0, 2))
          .map(([path, options]) => [path, options ?? ""]),
      ),
      ReadonlyRootfs: o.readOnly ?? false,
      Privileged: o.privileged ?? false,
      CapAdd: o.capAdd ?? null,
      CapDrop: o.capDrop ?? null,
      SecurityOpt: o.securityOpt ?? null,
      NetworkMode: o.network ?? "default",
      Memory: o.memory ?? 0,
      NanoCpus: o.cpus ?? 0,
      PidsLimit: o.pidsLimit ?? 0,
      RestartPolicy: restartPolicy(o.restart),
      Dns: o.dns ?? [],
      ExtraHosts: o.addHost ?? [],
    },
  };
}

/** `on-failure:3` and its like. */
function restartPolicy(text: string | undefined): { Name: string; MaximumRetryCount: number } {
  const [name, count] = (text ?? "no").split(":");
  return { Name: name!, MaximumRetryCount: Number(count ?? 0) };
}
