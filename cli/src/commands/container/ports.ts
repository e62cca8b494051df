/** A port as a listing of containers has it. */
export interface Port {
  IP?: string;
  PrivatePort: number;
  PublicPort?: number;
  Type: string;
}

/** Ports as Docker shows them: neighbours drawn together, `0.0.0.0:8080-8081->80-81/tcp, 53/udp`. */
export function portsText(ports: Port[]): string {
  const sorted = [...ports].sort(
    (a, b) =>
      Number(b.PublicPort !== undefined) - Number(a.PublicPort !== undefined) ||
      order(a.IP ?? "", b.IP ?? "") ||
      order(a.Type, b.Type) ||
      a.PrivatePort - b.PrivatePort,
  );
  const runs: { first: Port; last: Port }[] = [];
  for (const port of sorted) {
    const run = runs.at(-1);
    if (run !== undefined && follows(run.last, port)) run.last = port;
    else runs.push({ first: port, last: port });
  }
  return runs.map(({ first, last }) => text(first, last)).join(", ");
}

function follows(before: Port, port: Port): boolean {
  if (before.Type !== port.Type || before.IP !== port.IP || port.PrivatePort !== before.PrivatePort + 1)
    return false;
  if (before.PublicPort === undefined || port.PublicPort === undefined)
    return before.PublicPort === port.PublicPort;
  return port.PublicPort === before.PublicPort + 1;
}

function text(first: Port, last: Port): string {
  const range = (from: number, to: number) => (from === to ? String(from) : `${from}-${to}`);
  const inside = `${range(first.PrivatePort, last.PrivatePort)}/${first.Type}`;
  if (first.PublicPort === undefined) return inside;
  const ip = first.IP?.includes(":") ? `[${first.IP}]` : (first.IP ?? "0.0.0.0");
  return `${ip}:${range(first.PublicPort, last.PublicPort!)}->${inside}`;
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
