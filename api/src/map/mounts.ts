import { posix } from "node:path";
import { CreelError } from "@creel/shared";
import type { Mount } from "@creel/shared/gen/engine/v1/container.ts";
import type { MountSchema } from "../schema/container.ts";
import type { Static } from "../schema/type.ts";

type DockerMount = Static<typeof MountSchema>;

const EMPTY: Mount = {
  type: "bind",
  source: "",
  target: "",
  readOnly: false,
  propagation: "",
  tmpfsSize: 0,
  tmpfsMode: 0,
  noCopy: false,
  subpath: "",
  createSource: false,
  volumeOptions: {},
  volumeLabels: {},
  volumeDriver: "",
  tmpfsOptions: [],
  nonRecursive: false,
  readOnlyNonRecursive: false,
  readOnlyForceRecursive: false,
};
const PROPAGATIONS = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/** The engine's mount for an entry of `Binds`: `source:target[:options]`, or a bare target. */
export function fromBind(bind: string): Mount {
  const bad = (why: string) =>
    new CreelError("invalid_parameter", { message: `invalid volume specification: '${bind}': ${why}` });
  const parts = bind.split(":");
  if (parts.length > 3) throw bad("too many colons");
  const [first = "", second, options = ""] = parts;
  if (second === undefined) return { ...EMPTY, type: "volume", target: absolute(first, bad) };
  const host = first.startsWith("/");
  if (!host && !/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(first)) {
    throw bad(
      `"${first}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
  const mount: Mount = {
    ...EMPTY,
    type: host ? "bind" : "volume",
    source: first,
    target: absolute(second, bad),
    createSource: host,
  };
  const modes = options.split(",");
  const once = [["ro", "rw"], ["z", "Z"], ["nocopy"], PROPAGATIONS, ["cached", "delegated", "consistent"]];
  for (const kind of once)
    if (modes.filter((mode) => kind.includes(mode)).length > 1) throw bad(`invalid mode: ${options}`);
  for (const option of modes) {
    if (option === "ro") mount.readOnly = true;
    else if (option === "nocopy") mount.noCopy = true;
    else if (PROPAGATIONS.includes(option)) mount.propagation = option;
    else if (!["", "rw", "z", "Z", "cached", "delegated", "consistent"].includes(option))
      throw bad(`invalid mode: ${option}`);
  }
  return mount;
}

/** The engine's mount for an entry of `Mounts`. */
export function fromMount(mount: DockerMount): Mount {
  const type = mount.Type || "bind";
  const bad = (why: string) =>
    new CreelError("invalid_parameter", { message: `invalid mount config for type "${type}": ${why}` });
  if (!["bind", "volume", "tmpfs"].includes(type)) throw bad("mount type unknown");
  refuseOthersOptions(mount, type);
  const source = mount.Source ?? "";
  if (type === "tmpfs" && source !== "") throw bad("field Source must not be specified");
  if (type === "volume" && source === "") {
    if (mount.VolumeOptions?.Subpath) throw bad("must not set Subpath when using anonymous volumes");
    if (mount.ReadOnly) throw bad("must not set ReadOnly mode when using anonymous volumes");
  }
  if (type === "bind" && !source.startsWith("/")) {
    throw bad(
      source === ""
        ? "field Source must not be empty"
        : `invalid mount path: '${source}' mount path must be absolute`,
    );
  }
  const bind = mount.BindOptions;
  if (bind?.ReadOnlyNonRecursive && !mount.ReadOnly) throw bad("ReadOnlyNonRecursive needs ReadOnly");
  if (bind?.ReadOnlyForceRecursive) {
    if (!mount.ReadOnly) throw bad("ReadOnlyForceRecursive needs ReadOnly");
    if (bind.ReadOnlyNonRecursive || bind.NonRecursive)
      throw bad("ReadOnlyForceRecursive cannot be combined with ReadOnlyNonRecursive or NonRecursive");
    if (bind.Propagation !== "rprivate") throw bad("ReadOnlyForceRecursive needs Propagation rprivate");
  }
  const driver = mount.VolumeOptions?.DriverConfig?.Name;
  if (driver && driver !== "local")
    throw bad(`the volume driver ${driver} is a plugin, and Creel runs none: use local`);
  return {
    ...EMPTY,
    type,
    source,
    target: absolute(mount.Target, bad),
    readOnly: mount.ReadOnly ?? false,
    propagation: bind?.Propagation ?? "",
    tmpfsSize: mount.TmpfsOptions?.SizeBytes ?? 0,
    tmpfsMode: mount.TmpfsOptions?.Mode ?? 0,
    noCopy: mount.VolumeOptions?.NoCopy ?? false,
    subpath: mount.VolumeOptions?.Subpath ?? "",
    createSource: bind?.CreateMountpoint ?? false,
    volumeOptions: mount.VolumeOptions?.DriverConfig?.Options ?? {},
    volumeLabels: mount.VolumeOptions?.Labels ?? {},
    volumeDriver: mount.VolumeOptions?.DriverConfig?.Name ?? "",
    nonRecursive: bind?.NonRecursive ?? false,
    readOnlyNonRecursive: bind?.ReadOnlyNonRecursive ?? false,
    readOnlyForceRecursive: bind?.ReadOnlyForceRecursive ?? false,
  };
}

function refuseOthersOptions(mount: DockerMount, type: string): void {
  for (const [name, owner] of [
    ["VolumeOptions", "volume"],
    ["BindOptions", "bind"],
    ["TmpfsOptions", "tmpfs"],
  ] as const) {
    if (mount[name] && type !== owner)
      throw new CreelError("invalid_parameter", {
        message: `${name} must not be specified on mount type "${type}"`,
      });
  }
}

/** The engine's mount for an entry of `Tmpfs`: target and options such as `size=64m,mode=1777,ro`. */
export function fromTmpfs(target: string, options: string): Mount {
  const bad = (why: string) =>
    new CreelError("invalid_parameter", { message: `invalid tmpfs option for ${target}: ${why}` });
  const mount: Mount = { ...EMPTY, type: "tmpfs", target: absolute(target, bad), tmpfsOptions: [] };
  for (const option of options.split(",")) {
    const [name = "", value = ""] = option.split("=", 2);
    if (name === "size") mount.tmpfsSize = bytes(value, bad);
    else if (name === "mode") {
      if (!/^[0-7]{1,5}$/.test(value)) throw bad(`mode ${value} is not octal`);
      mount.tmpfsMode = Number.parseInt(value, 8);
    } else if (name === "ro") mount.readOnly = true;
    else if (["exec", "noexec", "suid", "nosuid", "dev", "nodev"].includes(option))
      mount.tmpfsOptions.push(option);
    else if (["uid", "gid", "nr_inodes", "nr_blocks"].includes(name)) {
      if (!/^\d{1,10}[kmg]?$/i.test(value)) throw bad(`${name} ${value} is not a number`);
      mount.tmpfsOptions.push(option);
    } else if (
      ![
        "",
        "rw",
        "defaults",
        "noatime",
        "relatime",
        "strictatime",
        "nodiratime",
        "private",
        "rprivate",
      ].includes(option)
    )
      throw bad(option);
  }
  return mount;
}

/** The mount as Docker writes it in a specification. */
export function toDockerMount(mount: Mount): Record<string, unknown> {
  const out: Record<string, unknown> = { Type: mount.type, Target: mount.target };
  if (mount.source) out.Source = mount.source;
  if (mount.readOnly) out.ReadOnly = true;
  if (mount.type === "bind") {
    const options = {
      Propagation: mount.propagation || undefined,
      CreateMountpoint: mount.createSource || undefined,
      NonRecursive: mount.nonRecursive || undefined,
      ReadOnlyNonRecursive: mount.readOnlyNonRecursive || undefined,
      ReadOnlyForceRecursive: mount.readOnlyForceRecursive || undefined,
    };
    if (Object.values(options).some(Boolean)) out.BindOptions = options;
  }
  const driver = mount.volumeDriver !== "" || Object.keys(mount.volumeOptions).length > 0;
  if (
    mount.type === "volume" &&
    (mount.noCopy || mount.subpath || driver || Object.keys(mount.volumeLabels).length > 0)
  ) {
    out.VolumeOptions = {
      NoCopy: mount.noCopy || undefined,
      Subpath: mount.subpath || undefined,
      Labels: mount.volumeLabels,
      DriverConfig: driver
        ? { Name: mount.volumeDriver || "local", Options: mount.volumeOptions }
        : undefined,
    };
  }
  if (mount.type === "tmpfs" && (mount.tmpfsSize || mount.tmpfsMode)) {
    out.TmpfsOptions = { SizeBytes: mount.tmpfsSize || undefined, Mode: mount.tmpfsMode || undefined };
  }
  return out;
}

function absolute(target: string, bad: (why: string) => CreelError): string {
  if (!target.startsWith("/"))
    throw bad(
      target === ""
        ? "field Target must not be empty"
        : `invalid mount path: '${target}' mount path must be absolute`,
    );
  const clean = posix.normalize(`${target}/`).slice(0, -1) || "/";
  if (clean === "/") throw bad("invalid specification: destination can't be '/'");
  return clean;
}

function bytes(value: string, bad: (why: string) => CreelError): number {
  const [, digits, unit = ""] = /^(\d{1,15})([kmg]?)b?$/i.exec(value) ?? [];
  if (digits === undefined) throw bad(`size ${value} is not a number of bytes`);
  return Number(digits) * 1024 ** ["", "k", "m", "g"].indexOf(unit.toLowerCase());
}
