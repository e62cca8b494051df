import { mergeServices } from "./merge.ts";
import type { Service } from "./model.ts";
import type { Place, Problems } from "./problems.ts";

/** What a service says it is made from. */
export interface Extends {
  service: string;
  file?: string;
}

/** The services of a file, and where its keys stand. */
export interface ServiceFile {
  path: string;
  services: Record<string, Service>;
  places: Map<string, Place>;
}

/** Puts into each service what it extends. `open` reads another file; undefined when it cannot, which it has said. */
export function resolveExtends(
  file: ServiceFile,
  open: (path: string, place: Place | undefined) => ServiceFile | undefined,
  problems: Problems,
): Record<string, Service> {
  const resolve = (from: ServiceFile, name: string, chain: string[]): Service | undefined => {
    const { extends: wanted, ...own } = from.services[name]! as Service & { extends?: Extends };
    if (wanted === undefined) return own;
    const key = `services.${name}.extends`;
    const place = from.places.get(key);
    const link = `${from.path}: ${name}`;
    if (chain.includes(link)) {
      problems.add(place, key, `${name} extends itself: ${[...chain, link].join(" → ")}`);
      return undefined;
    }
    const other = wanted.file === undefined ? from : open(wanted.file, place);
    if (other === undefined) return undefined;
    if (!Object.hasOwn(other.services, wanted.service)) {
      problems.add(place, key, `there is no service ${wanted.service} in ${other.path}`);
      return undefined;
    }
    const base = resolve(other, wanted.service, [...chain, link]);
    return base && mergeServices(base, own);
  };
  const names = Object.keys(file.services);
  return Object.fromEntries(
    names.flatMap((name) => {
      const found = resolve(file, name, []);
      return found === undefined ? [] : [[name, found]];
    }),
  );
}
