import type { Model, Mount, Service } from "../model.ts";
import { bytes } from "../read/amounts.ts";
import type { Names } from "./service.ts";

/** A service's mounts, its `tmpfs` among them, as the API takes them. */
export function mountsOf({ volumes, tmpfs }: Service, model: Model, names: Names): object[] | undefined {
  if (volumes === undefined && tmpfs === undefined) return undefined;
  return [...(volumes ?? []).map((mount) => mountOf(mount, model, names)), ...(tmpfs ?? []).map(tmpfsOf)];
}

function mountOf(mount: Mount, model: Model, names: Names): object {
  const { type, source, target, read_only, bind, volume, tmpfs } = mount;
  const result = {
    Type: type,
    ...(source && { Source: source }),
    Target: target,
    ...(read_only && { ReadOnly: true }),
  };
  if (type === "bind") {
    if (bind === undefined) return result;
    const options = {
      ...(bind.propagation && { Propagation: bind.propagation }),
      ...(bind.create_host_path && { CreateMountpoint: true }),
    };
    return { ...result, BindOptions: options };
  }
  if (type === "tmpfs") {
    const options = {
      ...(tmpfs?.size !== undefined && { SizeBytes: tmpfs.size }),
      ...(tmpfs?.mode !== undefined && { Mode: tmpfs.mode }),
    };
    return tmpfs === undefined ? result : { ...result, TmpfsOptions: options };
  }
  if (source === undefined) return result;
  const named = model.volumes[source] ?? {};
  const { external, name, driver, driver_opts, labels } = named;
  return {
    ...result,
    Source: external ? (name ?? source) : names.of("volumes", source),
    VolumeOptions: {
      ...(volume?.nocopy && { NoCopy: true }),
      ...(volume?.subpath && { Subpath: volume.subpath }),
      ...(!external && { Labels: names.labels(labels) }),
      ...(!external &&
        (driver !== undefined || driver_opts !== undefined) && {
          DriverConfig: { Name: driver ?? "", ...(driver_opts && { Options: driver_opts }) },
        }),
    },
  };
}

/** `/run:size=64m,mode=1777` */
function tmpfsOf(text: string): object {
  const [target = "", options = ""] = text.split(":");
  const values = new Map(options.split(",").map((option) => option.split("=", 2) as [string, string]));
  const [size, mode] = [values.get("size"), values.get("mode")];
  const given = {
    ...(size !== undefined && { SizeBytes: bytes(size) }),
    ...(mode !== undefined && { Mode: Number.parseInt(mode, 8) }),
  };
  return { Type: "tmpfs", Target: target, ...(Object.keys(given).length > 0 && { TmpfsOptions: given }) };
}
