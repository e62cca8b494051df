import type { Mount } from "../model.ts";
import { size } from "./amounts.ts";
import {
  anything,
  flag,
  integer,
  list,
  object,
  oneOf,
  oneOrList,
  type Read,
  type Scope,
  text,
} from "./shape.ts";

const PROPAGATIONS = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
const TYPES = ["bind", "volume", "tmpfs"];

const long = object<Mount>(
  {
    type: oneOf(...TYPES),
    source: text,
    target: text,
    read_only: flag,
    consistency: anything,
    bind: object({
      propagation: oneOf(...PROPAGATIONS),
      create_host_path: flag,
      selinux: anything,
      recursive: anything,
    }),
    volume: object({ nocopy: flag, subpath: text, labels: anything }),
    tmpfs: object({ size, mode: integer(0, 0o7777) }),
  },
  { required: ["type", "target"] },
);

/** Volumes, folders of the host and tmpfs in their short and long forms. */
export const mounts: Read<Mount[]> = list((node, scope) => {
  const mount = node.kind === "dict" ? long(node, scope) : undefined;
  if (node.kind === "dict") {
    if (mount === undefined) return undefined;
    if (mount.type === "bind" && mount.source === undefined)
      return scope.fail(node, "a bind mount needs a source");
    for (const kind of TYPES)
      if (kind !== mount.type && kind in mount)
        return scope.fail(node, `${kind} options do not go with type ${mount.type}`);
    return settled(mount, scope);
  }
  const spec = text(node, scope);
  if (spec === undefined) return undefined;
  const read = short(spec);
  return typeof read === "string" ? scope.fail(node, `"${spec}": ${read}`) : settled(read, scope);
});

/** `TARGET[:size=64m,mode=1777]` */
export const tmpfs: Read<string[]> = oneOrList((node, scope) => {
  const spec = text(node, scope);
  if (spec === undefined) return undefined;
  const [target = "", options = "", ...more] = spec.split(":");
  if (!target.startsWith("/") || more.length > 0)
    return scope.fail(node, `"${spec}" is not TARGET[:OPTIONS]`);
  const kept = options.split(",").filter((option) => {
    const known = /^(size=\d+[kmg]?b?|mode=[0-7]{1,4})$/i.test(option);
    if (!known && option !== "" && option !== "rw")
      scope.problems.notes.add(`${scope.path}: the option ${option} is ignored: size and mode are known`);
    return known;
  });
  return kept.length > 0 ? `${target}:${kept.join(",")}` : target;
});

/** `[SOURCE:]TARGET[:OPTIONS]`; what is wrong with it comes back as text. */
function short(spec: string): Mount | string {
  const parts = spec.split(":");
  if (parts.some((part) => part === "")) return "an empty part between colons";
  if (parts.length > 3) return "too many colons: [SOURCE:]TARGET[:OPTIONS]";
  if (parts.length === 1) return { type: "volume", target: spec };
  const [source = "", target = "", options = ""] = parts;
  const mount: Mount = { type: /^[./~]/.test(source) ? "bind" : "volume", source, target };
  for (const option of options === "" ? [] : options.split(",")) {
    if (option === "ro") mount.read_only = true;
    else if (option === "nocopy") mount.volume = { nocopy: true };
    else if (PROPAGATIONS.includes(option)) mount.bind = { propagation: option };
    else if (!["rw", "z", "Z", "cached", "delegated", "consistent"].includes(option))
      return `unknown option ${option}: use ro, rw, nocopy or a propagation`;
  }
  return mount;
}

/** A folder of the host is meant from the compose file's own. */
function settled(mount: Mount, scope: Scope): Mount {
  if (mount.type !== "bind" || mount.source === undefined) return mount;
  return { ...mount, source: scope.resolve(mount.source) };
}
