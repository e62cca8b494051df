import type { Image, ImageConfig } from "@creel/shared/gen/engine/v1/engine.ts";
import { EPOCH, fromNanos, nanosToSeconds } from "../http/time.ts";
import { toGraphDriver } from "./graph-driver.ts";
import { fromHealthcheck } from "./resources.ts";

type Json = Record<string, unknown>;
const flags = (names: string[]) =>
  names.length === 0 ? undefined : Object.fromEntries(names.map((name) => [name, {}]));
const listOrNull = (list: string[]) => (list.length > 0 ? list : null);

/** The answer of GET /images/{name}/json. */
export function toImageInspect(image: Image, driver: string): Json {
  return {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: image.parent,
    Comment: image.comment,
    Created: fromNanos(image.createdNanos, EPOCH),
    DockerVersion: "",
    Author: image.author,
    Config: toImageConfig(image.config),
    Architecture: image.architecture,
    Variant: image.variant || undefined,
    Os: image.os,
    Size: image.size,
    GraphDriver: toGraphDriver(driver, image.places),
    RootFS: { Type: "layers", Layers: image.diffIds },
    Metadata: { LastTagTime: "0001-01-01T00:00:00Z" },
  };
}

/** One entry of GET /images/json. */
export function toImageListEntry(image: Image): Json {
  return {
    Id: image.id,
    ParentId: image.parent,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Created: nanosToSeconds(image.createdNanos),
    Size: image.size,
    SharedSize: -1,
    Labels: Object.keys(image.labels).length > 0 ? image.labels : null,
    Containers: image.containers,
  };
}

/** The answer of GET /images/{name}/history, newest first. */
export function toHistory(image: Image): Json[] {
  const entries = image.history.map((entry) => ({
    Id: "<missing>",
    Created: nanosToSeconds(entry.createdNanos),
    CreatedBy: entry.createdBy,
    Tags: null as string[] | null,
    Size: entry.size,
    Comment: entry.comment,
  }));
  const newest = entries.at(-1);
  if (newest) Object.assign(newest, { Id: image.id, Tags: listOrNull(image.repoTags) });
  return entries.reverse();
}

function toImageConfig(config: ImageConfig | undefined): Json {
  return {
    Hostname: "",
    Domainname: "",
    User: config?.user ?? "",
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    ExposedPorts: flags(config?.exposedPorts ?? []),
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: listOrNull(config?.env ?? []),
    Cmd: listOrNull(config?.cmd ?? []),
    Healthcheck: fromHealthcheck(config?.healthcheck),
    Image: "",
    Volumes: flags(config?.volumes ?? []) ?? null,
    WorkingDir: config?.workingDir ?? "",
    Entrypoint: listOrNull(config?.entrypoint ?? []),
    OnBuild: listOrNull(config?.onBuild ?? []),
    Labels: Object.keys(config?.labels ?? {}).length > 0 ? config?.labels : null,
    StopSignal: config?.stopSignal || undefined,
    Shell: config?.shell.length ? config.shell : undefined,
  };
}
