import type { PortConfig, Service } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView } from "../../store/mod.ts";

const FIRST_PORT = 30_000;
const LAST_PORT = 32_767;

export function isIngress(port: PortConfig): boolean {
  return port.publishMode !== "host";
}

/** Published ports of all services, each by protocol and number. */
export class PortBook {
  private readonly view: StoreView;
  private taken: Set<string> | undefined;

  constructor(view: StoreView) {
    this.view = view;
  }

  /** The service's ports with the published ones filled in; what it had stays. Undefined when none are left. */
  portsOf(service: Service): PortConfig[] | undefined {
    const had = [...service.ports];
    const ports: PortConfig[] = [];
    for (const port of service.spec?.endpoint?.ports ?? []) {
      if (!isIngress(port) || port.publishedPort !== 0) {
        ports.push(port);
        continue;
      }
      const kept = had.findIndex(
        (h) => isIngress(h) && h.targetPort === port.targetPort && h.protocol === port.protocol && isAuto(h),
      );
      const publishedPort = kept >= 0 ? had.splice(kept, 1)[0]!.publishedPort : this.take(port.protocol);
      if (publishedPort === undefined) return undefined;
      ports.push({ ...port, publishedPort });
    }
    return ports;
  }

  private take(protocol: string): number | undefined {
    this.taken ??= this.read();
    for (let port = FIRST_PORT; port <= LAST_PORT; port++) {
      const key = `${port}/${protocol}`;
      if (this.taken.has(key)) continue;
      this.taken.add(key);
      return port;
    }
    return undefined;
  }

  private read(): Set<string> {
    const taken = new Set<string>();
    for (const { ports, spec } of this.view.services()) {
      for (const port of [...ports, ...(spec?.endpoint?.ports ?? [])]) {
        if (isIngress(port)) taken.add(`${port.publishedPort}/${port.protocol}`);
      }
    }
    return taken;
  }
}

function isAuto(port: PortConfig): boolean {
  return port.publishedPort >= FIRST_PORT && port.publishedPort <= LAST_PORT;
}
