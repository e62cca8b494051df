/** Secrets and configs: the same commands for both. */
export type DataKind = "secret" | "config";

/** A secret or config as the API writes it. */
export interface DataObject {
  ID: string;
  Version: { Index: number };
  CreatedAt: string;
  UpdatedAt: string;
  Spec: {
    Name: string;
    Labels: Record<string, string> | null;
    Data?: string;
    Templating?: { Name: string };
  };
}

/** The value that a command is given: a file, or standard input for `-`. In base64, as the API takes it. */
export async function valueFrom(path: string): Promise<string> {
  if (path !== "-") {
    const { readFile } = await import("node:fs/promises");
    return (await readFile(path)).toString("base64");
  }
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("base64");
}
