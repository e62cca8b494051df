import { Writable } from "node:stream";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { paint } from "../../output/style.ts";
import type { Bind } from "../../program.ts";
import { demultiplex, write } from "../../rest/frames.ts";
import { type LogOptions, logOptions, logQuery } from "../container/logs.ts";
import { at, examples } from "../words.ts";

interface Options extends LogOptions {
  raw?: boolean;
  trunc: boolean;
  resolve: boolean;
  taskIds: boolean;
}

/** `creel service logs` */
export function logs(command: Command, bind: Bind): void {
  logOptions(command.argument("<service|task>"))
    .option("--raw", "only what was written, without the task's name")
    .option("--no-trunc", "whole ids of tasks")
    .option("--no-resolve", "ids in place of names")
    .option("--no-task-ids", "no ids of tasks")
    .action(bind(run));
  examples(command, "creel service logs -f --tail 20 web", "creel service logs --raw web");
}

async function run({ client }: Context, name: string, o: Options): Promise<void> {
  const query = logQuery({ ...o, details: !o.raw || o.details === true });
  const stream = await client.stream("GET", at("services", name, "logs"), query).catch((error: unknown) => {
    if ((error as { status?: number }).status === 404)
      return client.stream("GET", at("tasks", name, "logs"), query);
    throw error;
  });
  const isFramed = stream.headers["content-type"] !== "application/vnd.docker.raw-stream";
  const names = new Names(client, o);
  const sink = (to: NodeJS.WriteStream) => (o.raw ? to : lines(to, (line) => names.prefixed(line)));
  if (isFramed) return demultiplex(stream, sink(process.stdout), sink(process.stderr));
  for await (const chunk of stream) await write(process.stdout, chunk as Buffer);
}

/** Each whole line, changed, to where it belongs. */
function lines(to: NodeJS.WriteStream, change: (line: string) => Promise<string>): Writable {
  let rest = "";
  const sink = new Writable({
    write(chunk: Buffer, _, done) {
      const parts = (rest + chunk.toString()).split("\n");
      rest = parts.pop()!;
      const work = async () => {
        for (const line of parts) await write(to, Buffer.from(`${await change(line)}\n`));
      };
      work().then(() => done(), done);
    },
  });
  // whoever writes is told by the callback
  return sink.on("error", () => {});
}

/** Who wrote a line: the service's name, the task's slot and id, the node. */
class Names {
  readonly #client: Context["client"];
  readonly #o: Options;
  readonly #known = new Map<string, Promise<string>>();
  #width = 0;
  constructor(client: Context["client"], o: Options) {
    this.#client = client;
    this.#o = o;
  }

  async prefixed(line: string): Promise<string> {
    const at = this.#o.timestamps ? line.indexOf(" ") + 1 : 0;
    const end = line.indexOf(" ", at);
    const details = Object.fromEntries(
      line
        .slice(at, end < 0 ? undefined : end)
        .split(",")
        .map((pair) => pair.split("=").map(decodeURIComponent) as [string, string]),
    );
    const task = details["com.docker.swarm.task.id"];
    const text = end < 0 ? "" : line.slice(end + 1);
    if (task === undefined) return line;
    let name = this.#known.get(task);
    if (name === undefined) {
      name = this.#nameOf(task, details["com.docker.swarm.node.id"] ?? "");
      this.#known.set(task, name);
    }
    const shown = await name;
    this.#width = Math.max(this.#width, shown.length);
    return `${line.slice(0, at)}${paint("dim", shown.padEnd(this.#width))}    | ${text}`;
  }

  async #nameOf(id: string, nodeId: string): Promise<string> {
    const own = this.#o.trunc ? id.slice(0, 12) : id;
    const unresolved = `${own}@${nodeId}`;
    if (!this.#o.resolve) return unresolved;
    try {
      return await this.#resolved(id, nodeId, own);
    } catch (error) {
      // the task or its service was removed meanwhile
      if ((error as { status?: number }).status === 404) return unresolved;
      throw error;
    }
  }

  async #resolved(id: string, nodeId: string, own: string): Promise<string> {
    const task = await this.#client.get<{ ServiceID: string; Slot?: number; NodeID: string }>(
      at("tasks", id),
    );
    const [service, node] = await Promise.all([
      this.#client.get<{ Spec: { Name: string } }>(at("services", task.ServiceID)),
      this.#client.get<{ Description: { Hostname: string } }>(at("nodes", nodeId || task.NodeID)),
    ]);
    const slot = `${service.Spec.Name}.${task.Slot || task.NodeID}`;
    return `${slot}${this.#o.taskIds ? `.${own}` : ""}@${node.Description.Hostname}`;
  }
}
