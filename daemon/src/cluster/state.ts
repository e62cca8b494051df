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
import { join } from "node:path";
import { parseUnlockKey } from "@creel/manager";
import { CreelError, messageOf } from "@creel/shared";
import type { Identity } from "@creel/shared/tls";
import type { NodeAddresses } from "./addresses.ts";
import { seal, unseal } from "./sealing.ts";

const FORMAT = 1;

/** What a node keeps of its place in a cluster. */
export interface MemberState {
  addresses: NodeAddresses;
  dataPathPort: number;
  /** Managers' addresses, host:port. */
  managers: string[];
}

/** Who a node is in its cluster, with the keys that prove it and open its log, and what seals those on its disk. */
export interface KeptIdentity {
  identity: Identity;
  /** The Raft log is encrypted with it. */
  raftKey: Uint8Array;
  /** Of a cluster whose managers lock themselves; empty: the keys are there to be read. */
  unlockKey: string;
}

/** A membership as the disk has it; sealed, it can be taken up only with the unlock key. */
export interface KeptMember {
  state: MemberState;
  sealed: boolean;
  /** Throws `swarm_locked` without the key, `wrong_unlock_key` with another. */
  open(unlockKey: string): KeptIdentity;
}

interface Keys {
  tls: string;
  raft: string;
}

/** The files of a node's membership, below DATA-ROOT/swarm: state.json, identity.json and, on managers, manager/. */
export class MemberFiles {
  readonly dir: string;
  /** What only a manager keeps. */
  readonly managerDir: string;

  constructor(dataRoot: string) {
    this.dir = join(dataRoot, "swarm");
    this.managerDir = join(this.dir, "manager");
  }

  /** Undefined where the node is in no cluster. */
  read(): KeptMember | undefined {
    const state = this.#json("state.json");
    if (state === undefined) return undefined;
    const path = join(this.dir, "identity.json");
    const {
      format: _,
      keys,
      sealed,
      ...known
    } = this.#json("identity.json") ?? damaged(path, "it is missing");
    const whole = (opened: Keys, unlockKey: string): KeptIdentity => ({
      identity: { ...known, key: opened.tls },
      raftKey: Buffer.from(opened.raft, "hex"),
      unlockKey,
    });
    return {
      state,
      sealed: sealed !== undefined,
      open: (unlockKey) => {
        if (sealed === undefined) return whole(keys, "");
        if (unlockKey === "") throw new CreelError("swarm_locked");
        return whole(JSON.parse(unseal(sealed, parseUnlockKey(unlockKey), known.nodeId)), unlockKey);
      },
    };
  }

  writeState(state: MemberState): void {
    this.#write("state.json", { format: FORMAT, ...state });
  }

  /** All of it at once: a certificate without its key, or half of what is sealed, would be worth nothing. */
  writeIdentity({ identity, raftKey, unlockKey }: KeptIdentity): void {
    const { key, ...known } = identity;
    const keys: Keys = { tls: key, raft: Buffer.from(raftKey).toString("hex") };
    const secret =
      unlockKey === ""
        ? { keys }
        : { sealed: seal(JSON.stringify(keys), parseUnlockKey(unlockKey), known.nodeId) };
    this.#write("identity.json", { format: FORMAT, ...known, ...secret });
  }

  /** Everything that only a manager keeps. */
  clearManager(): void {
    rmSync(this.managerDir, { recursive: true, force: true });
  }

  clear(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  // biome-ignore lint/suspicious/noExplicitAny: what a file holds is checked by its reader
  #json(name: string): any {
    const path = join(this.dir, name);
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    let found: { format: number };
    try {
      found = JSON.parse(text);
    } catch (error) {
      return damaged(path, messageOf(error));
    }
    if (found.format > FORMAT)
      throw new CreelError("data_format_newer", { path, found: found.format, known: FORMAT });
    return found;
  }

  #write(name: string, content: object): void {
    const path = join(this.dir, name);
    mkdirSync(this.dir, { recursive: true, mode: 0o700 });
    const file = openSync(`${path}.tmp`, "w", 0o600);
    try {
      writeFileSync(file, JSON.stringify(content, undefined, 2));
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
