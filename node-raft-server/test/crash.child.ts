// Proposes numbers without end, and prints each once it is acknowledged. Killed by its parent.
import { writeSync } from "node:fs";
import { systemClock } from "@creel/shared";
import { openRaft } from "../src/mod.ts";

const raft = await openRaft({
  dir: process.argv[2]!,
  id: 1,
  bootstrap: [{ id: 1, address: "" }],
  clock: systemClock,
  minFreeBytes: 0,
  transport: () => ({ send() {}, close() {} }),
});
let state: string[] = [];
async function consume(): Promise<void> {
  for await (const piece of raft.committed) {
    if (piece.kind === "snapshot") state = Buffer.from(piece.data).toString().split(",");
    if (piece.kind !== "entry") continue;
    state.push(Buffer.from(piece.data).toString());
    if (piece.index % 50 === 0) void raft.snapshot(piece.index, Buffer.from(state.join(","))).catch(() => {});
  }
}
void consume();
await raft.readIndex();
writeSync(1, `start ${state.join(",")}\n`);
let number = state.length;
const proposer = async () => {
  for (;;) {
    number += 1;
    const own = `${number}`;
    await raft.propose(Buffer.from(own));
    writeSync(1, `${own}\n`);
  }
};
await Promise.all(Array.from({ length: 8 }, proposer));
