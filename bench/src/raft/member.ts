// A manager's Raft server in a process of its own, as creeld has it: a log on disk, gRPC to the others, a state in memory.
import { systemClock } from "@creel/shared";
import { RaftClient } from "@creel/shared/gen/cluster/v1/raft.ts";
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { grpcTransport, openRaft, type Peer } from "node-raft-server";
import { servePut } from "./put.ts";

/** etcd's own default, so that both cut snapshots equally often. */
const SNAPSHOT_EVERY = 100_000;

const [dir, own, members, clientPort] = process.argv.slice(2);
const id = Number(own);
const peers = JSON.parse(members!) as Peer[];
const { address } = peers.find((peer) => peer.id === id)!;

const grpc = grpcTransport({
  id,
  address,
  clock: systemClock,
  open: (peer) => new RaftClient(peer.address, credentials.createInsecure()),
});
const raft = await openRaft({
  dir: dir!,
  id,
  bootstrap: peers,
  clock: systemClock,
  transport: grpc.transport,
});

const state = new Map<string, Uint8Array>();
async function apply(): Promise<void> {
  for await (const piece of raft.committed) {
    if (piece.kind !== "entry") continue;
    const keyLength = piece.data[1]!;
    state.set(Buffer.from(piece.data.subarray(2, 2 + keyLength)).toString("latin1"), piece.data);
    if (piece.index % SNAPSHOT_EVERY !== 0) continue;
    // Not awaited: it ends only when the consumer has gone on.
    raft
      .snapshot(piece.index, Buffer.concat([...state.values()]))
      .catch((error: Error) => console.error(error.message));
  }
}
void apply();

const server = new Server({ "grpc.max_receive_message_length": 64 << 20 });
server.addService(grpc.service, grpc.implementation);
await new Promise<void>((resolve, reject) =>
  server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
    error ? reject(error) : resolve(),
  ),
);
servePut((entry) => raft.propose(entry)).listen(Number(clientPort), "127.0.0.1");

const tell = () => process.send?.({ leader: raft.status().leader });
raft.onStatus(tell);
tell();
/** Proposals from within the process, where creeld's own come from. */
process.on("message", async ({ inFlight, seconds }: { inFlight: number; seconds: number }) => {
  const entry = Buffer.concat([Buffer.from("\n\u0003own"), Buffer.alloc(1024, 7)]);
  const [from, to] = [performance.now() + 1000, performance.now() + 1000 + seconds * 1000];
  let committed = 0;
  const one = async () => {
    for (let now = performance.now(); now < to; now = performance.now()) {
      await raft.propose(entry);
      if (performance.now() >= from) committed++;
    }
  };
  try {
    await Promise.all(Array.from({ length: inFlight }, one));
    process.send?.({ perSecond: committed / seconds });
  } catch (error) {
    process.send?.({ failed: (error as Error).message });
  }
});
process.on("disconnect", () => process.exit(0));
