import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { CreelError, messageOf } from "@creel/shared";
import type { Identity } from "@creel/shared/tls";
import type { NodeAddresses } from "./addresses.ts";

const FORMAT = 1;

/** What a node keeps of its place in a cluster. */
export interface MemberState {
  addresses: NodeAddresses;
  dataPathPort: number;
  /** Managers' addresses, host:port. */
  managers: string[];
}

/** The files of a node's membership, below DATA-ROOT/swarm: state.json, certificates/ and, on managers, manager/. */
export class MemberFiles {
  readonly dir: string;
  /** What only a manager keeps. */
  readonly managerDir: string;

  constructor(dataRoot: string) {
    this.dir = join(dataRoot, "swarm");
    this.managerDir = join(this.dir, "manager");
  }

  /** Undefined where the node is in no cluster. */
  read(): { state: MemberState; identity: Identity; raftKey: Uint8Array } | undefined {
    const state = this.#json(join(this.dir, "state.json"));
    if (state === undefined) return undefined;
    const path = join(this.dir, "state.json");
    if (state.format > FORMAT)
      throw new CreelError("data_format_newer", { path, found: state.format, known: FORMAT });
    const names = join(this.dir, "certificates", "node.json");
    const { nodeId, role, clusterId } = this.#json(names) ?? damaged(names, "it is missing");
    return {
      state,
      identity: {
        nodeId,
        role,
        clusterId,
        certificate: this.#text("certificates/node.crt"),
        key: this.#text("certificates/node.key"),
        root: this.#text("certificates/root.crt"),
      },
      raftKey: Buffer.from(this.#text("certificates/raft.key").trim(), "hex"),
    };
  }

  writeState(state: MemberState): void {
    this.#write("state.json", JSON.stringify({ format: FORMAT, ...state }, undefined, 2));
  }

  writeIdentity({ nodeId, role, clusterId, certificate, key, root }: Identity): void {
    this.#write("certificates/root.crt", root);
    this.#write("certificates/node.key", key);
    this.#write("certificates/node.crt", certificate);
    this.#write("certificates/node.json", JSON.stringify({ nodeId, role, clusterId }));
  }

  writeRaftKey(key: Uint8Array): void {
    this.#write("certificates/raft.key", Buffer.from(key).toString("hex"));
  }

  /** Everything that only a manager keeps. */
  clearManager(): void {
    rmSync(this.managerDir, { recursive: true, force: true });
  }

  clear(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  // biome-ignore lint/suspicious/noExplicitAny: what a file holds is checked by its reader
  #json(path: string): any {
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      return JSON.parse(text);
    } catch (error) {
      return damaged(path, messageOf(error));
    }
  }

  #text(name: string): string {
    const path = join(this.dir, name);
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      return damaged(path, messageOf(error));
    }
  }

  #write(name: string, content: string): void {
    const path = join(this.dir, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const file = openSync(`${path}.tmp`, "w", 0o600);
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.tmp`, path);
  }
}

function damaged(path: string, message: string): never {
  throw new CreelError("storage_damaged", { path, message });
}
