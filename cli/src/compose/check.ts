import type { Model, Service } from "./model.ts";
import { didYouMean, type Place, type Problems } from "./problems.ts";

const NAME = /^[a-zA-Z0-9._-]+$/;
const MAX_NAME = 200;

/** Finds what is wrong with a stack as a whole: names, what is used and not there, keys that do not go together. */
export function checkModel(model: Model, places: ReadonlyMap<string, Place>, problems: Problems): void {
  const fail = (path: string, message: string, hint = "") =>
    problems.add(placeOf(path, places), path, message, hint);
  const kinds = ["services", "networks", "volumes", "secrets", "configs"] as const;
  for (const kind of kinds)
    for (const name of Object.keys(model[kind]))
      if (!NAME.test(name) || name.length > MAX_NAME)
        fail(`${kind}.${name}`, "a name has letters, digits, dots, dashes and underscores");
  if (Object.keys(model.services).length === 0) fail("services", "there are no services to run");
  for (const [name, service] of Object.entries(model.services)) {
    checkUses(`services.${name}`, service, model, fail);
    checkService(`services.${name}`, service, fail);
  }
}

type Fail = (path: string, message: string, hint?: string) => void;

function checkUses(path: string, service: Service, model: Model, fail: Fail): void {
  const known = (
    kind: "networks" | "volumes" | "secrets" | "configs" | "services",
    name: string,
    at: string,
  ) => {
    if (Object.hasOwn(model[kind], name)) return;
    const one = kind.slice(0, -1);
    const like = didYouMean(name, Object.keys(model[kind]));
    fail(at, `undefined ${one} "${name}"`, like || `name it under the top-level ${kind}`);
  };
  for (const name of Object.keys(service.networks ?? {}))
    if (name !== "default") known("networks", name, `${path}.networks.${name}`);
  service.volumes?.forEach(({ type, source }, i) => {
    if (type === "volume" && source !== undefined) known("volumes", source, `${path}.volumes[${i}]`);
  });
  for (const kind of ["secrets", "configs"] as const)
    service[kind]?.forEach(({ source }, i) => {
      known(kind, source, `${path}.${kind}[${i}]`);
    });
  if (service.credential_spec?.config !== undefined)
    known("configs", service.credential_spec.config, `${path}.credential_spec.config`);
}

function checkService(path: string, service: Service, fail: Fail): void {
  const { healthcheck, deploy, image, build, scale } = service;
  if (!image)
    fail(path, "needs an image", build === undefined ? "" : "build it, and give it a name with image");
  if (healthcheck?.disable && healthcheck.test?.length)
    fail(`${path}.healthcheck`, "test and disable cannot both be given");
  if (deploy?.mode?.startsWith("global") && (deploy.replicas ?? scale) !== undefined)
    fail(`${path}.deploy.replicas`, `goes with mode replicated or replicated-job, not ${deploy.mode}`);
  if (deploy?.replicas !== undefined && scale !== undefined && deploy.replicas !== scale)
    fail(`${path}.scale`, `is ${scale}, and deploy.replicas ${deploy.replicas}: give one of them`);
  const specs = Object.entries(service.credential_spec ?? {}).map(([kind]) => kind);
  if (specs.length > 1) fail(`${path}.credential_spec`, `only one of ${specs.join(" and ")} can be given`);
  if (
    service.restart !== undefined &&
    !/^(no|always|unless-stopped|on-failure(:\d+)?)$/.test(service.restart)
  )
    fail(`${path}.restart`, `"${service.restart}" is none of no, always, unless-stopped, on-failure[:N]`);
  checkTwice(path, service, fail);
}

function checkTwice(path: string, { volumes, ports }: Service, fail: Fail): void {
  const targets = volumes?.map(({ target }) => target) ?? [];
  const twice = targets.findIndex((target, i) => targets.indexOf(target) !== i);
  if (twice >= 0) fail(`${path}.volumes[${twice}]`, `there is a mount at ${targets[twice]} already`);
  const published =
    ports?.flatMap((port) => (port.published ? [`${port.published}/${port.protocol}`] : [])) ?? [];
  const again = published.find((port, i) => published.indexOf(port) !== i);
  if (again !== undefined) fail(`${path}.ports`, `port ${again} is published twice`);
}

/** Where a key stands, or the nearest one above it. */
function placeOf(path: string, places: ReadonlyMap<string, Place>): Place | undefined {
  for (let key = path; key !== ""; key = key.replace(/(\.[^.[\]]+|\[\d+\]|^[^.[\]]+)$/, "")) {
    const place = places.get(key);
    if (place !== undefined) return place;
    if (!/[.[]/.test(key)) break;
  }
  return undefined;
}
