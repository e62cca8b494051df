import { createServer, type IncomingMessage, type Server } from "node:http";
import { join } from "node:path";

/** A change that a client asked for. */
export interface Recorded {
  path: string;
  body: Record<string, unknown>;
}

/**
 * An empty cluster that takes all it is asked to make and keeps it for a test to look at: what a client sends is what is
 * tested. Networks, secrets and configs that were made, or whose names begin with `external`, are there.
 */
export class Recorder {
  readonly socket: string;
  readonly #server: Server;
  #made: Recorded[] = [];

  private constructor(socket: string) {
    this.socket = socket;
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(([status, body]) => {
        response.writeHead(status, {
          "Content-Type": "application/json",
          "Api-Version": "1.51",
          "Docker-Experimental": "false",
          Ostype: "linux",
        });
        response.end(request.method === "HEAD" ? undefined : JSON.stringify(body));
      });
    });
  }

  static async listen(dir: string): Promise<Recorder> {
    const recorder = new Recorder(join(dir, "api.sock"));
    await new Promise<void>((resolve) => recorder.#server.listen(recorder.socket, resolve));
    return recorder;
  }

  /** What was asked for since the last call, by name. */
  take(): Recorded[] {
    const made = this.#made;
    this.#made = [];
    return made.sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage): Promise<[number, unknown]> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url!, "http://x");
    const path = url.pathname.replace(/^\/v[\d.]+/, "");
    if (path === "/_ping") return [200, "OK"];
    if (path === "/info") return [200, { Swarm: { ControlAvailable: true, LocalNodeState: "active" } }];
    if (path === "/creel/plan") return [200, {}];
    if (request.method === "POST" && path.endsWith("/create")) {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Recorded["body"];
      this.#made.push({ path, body });
      return [201, { ID: `id-${body.Name}`, Id: `id-${body.Name}` }];
    }
    const [, kind = "", name] = path.split("/");
    if (kind === "services" && name === undefined) return [200, []];
    if (kind === "networks" && name !== undefined) {
      if (!name.startsWith("external")) return [404, { message: `network ${name} not found` }];
      return [200, { Name: name, Id: `id-${name}`, Scope: "swarm", Driver: "overlay" }];
    }
    if (kind === "networks")
      return [200, ["external-net"].map((Name) => ({ Name, Id: `id-${Name}`, Scope: "swarm" }))];
    if ((kind === "secrets" || kind === "configs") && name === undefined) return [200, this.#files(kind)];
    return [404, { message: `${kind} ${name} not found` }];
  }

  #files(kind: string): object[] {
    const names = this.#made
      .filter(({ path }) => path === `/${kind}/create`)
      .map(({ body }) => String(body.Name));
    return ["external-file", ...names].map((Name) => ({
      ID: `id-${Name}`,
      Version: { Index: 1 },
      Spec: { Name, Labels: {} },
    }));
  }
}

const key = ({ path, body }: Recorded) => `${path} ${body.Name}`;
