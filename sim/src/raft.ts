import type { Inbound, RaftOptions, Transport } from "node-raft-server";
import { hostOf } from "./calls.ts";
import type { Network } from "./network.ts";
import type { Process } from "./time.ts";

interface Member {
  id: number;
  process: Process;
  inbound: Inbound;
  /** Where others said that they listen. */
  heard: Map<number, string>;
}

/** Raft's messages as datagrams: lost, doubled, late and out of order where the network is so. */
export class RaftWires {
  readonly #network: Network;
  readonly #members = new Map<string, Member>();

  constructor(network: Network) {
    this.#network = network;
  }

  /** For `openRaft` of the member `id` that listens at `addr`. */
  transport(process: Process, addr: string, id: number): RaftOptions["transport"] {
    return (inbound) => {
      const member: Member = { id, process, inbound, heard: new Map() };
      this.#members.set(addr, member);
      const transport: Transport = {
        send: (to, message, snapshot) => {
          const at = member.heard.get(to.id) || to.address;
          if (at === "") {
            if (snapshot) inbound.snapshotSent(to.id, false);
          } else this.#send(member, addr, { id: to.id, address: at }, message, snapshot);
        },
        close: () => {
          if (this.#members.get(addr) === member) this.#members.delete(addr);
        },
      };
      return transport;
    };
  }

  #send(
    from: Member,
    addr: string,
    to: { id: number; address: string },
    message: Uint8Array,
    snapshot: boolean,
  ) {
    const { clock } = from.process;
    let taken = false;
    this.#network.datagram(from.process, hostOf(to.address), () => {
      const member = this.#members.get(to.address);
      if (!member?.process.alive || member.id !== to.id) {
        clock.after(this.#network.delay(), () => from.inbound.unreachable(to.id));
        return;
      }
      member.heard.set(from.id, addr);
      taken = member.inbound.deliver(from.id, message);
      if (snapshot && taken) clock.after(this.#network.delay(), () => from.inbound.snapshotSent(to.id, true));
    });
    if (snapshot) clock.after(SNAPSHOT_MS, () => taken || from.inbound.snapshotSent(to.id, false));
  }
}

/** What was not acknowledged by then was lost. */
const SNAPSHOT_MS = 3_000;
