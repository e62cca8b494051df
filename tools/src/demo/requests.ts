import { request } from "node:http";

/** A host that requests are sent to. */
export interface Target {
  name: string;
  address: string;
}

/** Who answered how often, by the host that was asked. */
export interface Tally {
  total: number;
  failed: number;
  /** task name -> node it runs on */
  tasks: Map<string, string>;
  /** task name -> host asked -> answers */
  counts: Map<string, Map<string, number>>;
  hosts: string[];
  client: string;
}

/** One request of whoami on a connection of its own; its answer by field. */
export function ask(address: string, port: number, timeout = 3000): Promise<Record<string, string>> {
  return new Promise((resolve, reject) => {
    const req = request({ host: address, port, path: "/", agent: false, timeout }, (res) => {
      let text = "";
      res.setEncoding("utf8");
      res.on("data", (chunk: string) => (text += chunk));
      res.on("error", reject);
      res.on("end", () => {
        const fields = text
          .trim()
          .split("\n")
          .map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]);
        resolve(Object.fromEntries(fields));
      });
    });
    req.on("timeout", () => req.destroy(new Error(`no answer from ${address}:${port} within ${timeout} ms`)));
    req.on("error", reject);
    req.end();
  });
}

export function emptyTally(hosts: Target[]): Tally {
  return {
    total: 0,
    failed: 0,
    tasks: new Map(),
    counts: new Map(),
    hosts: hosts.map((host) => host.name),
    client: "",
  };
}

/** Sends one request to a host and counts the answer. */
export async function count(tally: Tally, host: Target, port: number): Promise<void> {
  tally.total++;
  try {
    const answer = await ask(host.address, port);
    const task = answer.task || answer.hostname || "?";
    tally.tasks.set(task, answer.node ?? "");
    tally.client = answer.client ?? "";
    const row = tally.counts.get(task) ?? new Map<string, number>();
    row.set(host.name, (row.get(host.name) ?? 0) + 1);
    tally.counts.set(task, row);
  } catch {
    tally.failed++;
  }
}

/** Sends `each` requests to every host, at most eight at a time. */
export async function answers(
  hosts: Target[],
  port: number,
  each: number,
  signal?: AbortSignal,
): Promise<Tally> {
  const tally = emptyTally(hosts);
  const queue = hosts.flatMap((host) => Array.from({ length: each }, () => host));
  const worker = async () => {
    for (let host = queue.pop(); host !== undefined && !signal?.aborted; host = queue.pop())
      await count(tally, host, port);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return tally;
}

/** The tally as text: a row a replica, a column for each host that was asked. */
export function table(tally: Tally): string {
  const rows = [["REPLICA", "RUNS ON", ...tally.hosts.map((host) => `VIA ${host}`), "ANSWERS"]];
  for (const task of [...tally.tasks.keys()].sort()) {
    const row = tally.counts.get(task)!;
    const name = task.split(".").slice(0, 2).join(".");
    const counts = tally.hosts.map((host) => row.get(host) ?? 0);
    rows.push([
      name,
      tally.tasks.get(task)!,
      ...counts.map(String),
      String(counts.reduce((a, b) => a + b, 0)),
    ]);
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
  if (tally.client !== "")
    lines.push(`client's address, as the last replica saw it: ${tally.client.split(":")[0]}`);
  return lines.join("\n");
}
