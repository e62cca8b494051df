import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../../../../tools/src/lab/lab.ts";
import { type Cli, docker } from "../../../src/cli.ts";

/** A node with one storage driver on a file system of its own. */
export class Own {
  readonly driver: string;
  readonly #fixture: { lab: Lab };

  constructor(driver: string, fixture: { lab: Lab }) {
    this.driver = driver;
    this.#fixture = fixture;
  }

  get lab(): Lab {
    return this.#fixture.lab;
  }

  get cli(): Cli {
    return docker(this.lab);
  }

  /** A place in the node's folder. */
  data(...parts: string[]): string {
    return join(this.lab.dir, "node1/data", ...parts);
  }

  /** The driver's own folder of a container's files. */
  async filesOf(container: string): Promise<string> {
    const id = await this.cli.ok("inspect", "-f", "{{.Id}}", container);
    return this.data(this.driver, "containers", id, this.driver === "overlay2" ? "upper" : "fs");
  }

  /** All that the node knows and keeps, but for where its containers stand. */
  async inventory(): Promise<Record<string, string[]>> {
    const list = async (...args: string[]) => (await this.cli.ok(...args)).split("\n").sort();
    const kept = (...path: string[]) => readdirSync(this.data(...path)).sort();
    return {
      images: await list("images", "-a", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"),
      containers: await list("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}"),
      volumes: await list("volume", "ls", "-q"),
      layers: kept(this.driver, "layers"),
      roots: kept(this.driver, "containers"),
      staging: kept(this.driver, "staging"),
      blobs: kept("content/sha256"),
      ingest: kept("content/ingest"),
      folders: kept("volumes"),
      records: kept("containers"),
    };
  }
}

/** A file's content by its digest. */
export function digestOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
